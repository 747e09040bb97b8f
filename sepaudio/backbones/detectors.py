"""Names of detectors: picture [B, C, F, L] -> boxes (start, end, low, high) in frames and bins."""

from __future__ import annotations

from typing import Any

from ..registry import changed, unknown
from .ssdlite import NAMES as SSDLITE
from .ssdlite import SSDLite, SSDLiteCfg
from .thundernet import NAMES as THUNDERNET
from .thundernet import ThunderNet

CFGS = {**SSDLITE, **THUNDERNET}


def detector_names() -> list[str]:
    """All names of detectors."""
    return sorted(CFGS)


def detector(
    name: str,
    in_channels: int = 3,
    multiplier: float = 1.0,
    *,
    n_classes: int = 1,
    **changes: Any,
) -> SSDLite | ThunderNet:
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
    if name not in CFGS:
        raise ValueError(unknown("detector", name, detector_names()))
    cfg = changed(CFGS[name], changes)
    made = SSDLite if isinstance(cfg, SSDLiteCfg) else ThunderNet
    return made(cfg, in_channels, n_classes, multiplier)
