"""Names of detectors: picture [B, C, F, L] -> boxes (start, end, low, high) in frames and bins."""

from __future__ import annotations

from typing import Any

from ..registry import changed, unknown
from .ssdlite import NAMES as SSDLITE
from .ssdlite import SSDLite


def detector_names() -> list[str]:
    """All names of detectors."""
    return sorted(SSDLITE)


def detector(
    name: str,
    in_channels: int = 3,
    multiplier: float = 1.0,
    *,
    n_classes: int = 1,
    **changes: Any,
) -> SSDLite:
    """The untrained detector called `name`, some cfg values changed.

    Args:
        name: of a detector.
        in_channels: of the picture.
        multiplier: scales all widths.
        n_classes: labels (K).
        changes: values of the cfg.

    Raises:
        ValueError: no detector has that name, or its cfg has no such value.
    """
    if name not in SSDLITE:
        raise ValueError(unknown("detector", name, detector_names()))
    return SSDLite(changed(SSDLITE[name], changes), in_channels, n_classes, multiplier)
