"""Names of image networks: a name is a cfg, a cfg type has a function that builds its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ..registry import changed, unknown
from .foreign import PREFIX, foreign
from .network import Network

Build = Callable[[Any, int, int], Network]  # cfg, in_channels, n_classes -> network
OURS = (  # no families
    *("detect", "foreign", "graph", "heads", "network", "scaling", "steps", "table"),
    *("detectors", "ssdlite", "thundernet"),  # their networks are told by `detector`
)

_build_of: dict[type, Build] = {}
_cfg_of: dict[str, Any] = {}


def wide(default: Any = MISSING) -> Any:
    """A cfg value that holds widths: channels, or a tuple of them. `scaled` scales it."""
    return field(default=default, metadata={"scales": "width"})


def deep(default: Any = MISSING) -> Any:
    """A cfg value that holds a number of blocks, or a tuple of them. `scaled` scales it."""
    return field(default=default, metadata={"scales": "depth"})


@dataclass(frozen=True, kw_only=True)
class StageCfg:
    """One stage of most networks: blocks of one kind, the first of which takes the stride.

    Attributes:
        channels: after every block.
        blocks: how many.
        stride: of the first.
    """

    channels: int = wide()
    blocks: int = deep(1)
    stride: int = 1


def register(cfg_type: type, **names: Any) -> Callable[[Build], Build]:
    """Decorator of the function that builds networks of a cfg type; `names` are such cfgs."""

    def bind(build: Build) -> Build:
        for name, cfg in names.items():  # a module may be imported twice, but says the same
            if repr(_cfg_of.get(name, cfg)) != repr(cfg):
                raise ValueError(f"{name!r} is a backbone already: expected another name")
        _build_of[cfg_type] = build
        _cfg_of.update(names)
        return build

    return bind


def names() -> list[str]:
    """All registered names."""
    _import_families()
    return sorted(_cfg_of)


def config(name: str, **changes: Any) -> Any:
    """The cfg called `name`, with some values changed.

    Raises:
        ValueError: no network has that name, or the cfg has no such value.
    """
    _import_families()
    if name not in _cfg_of:
        raise ValueError(unknown("backbone", name, names()))
    return changed(_cfg_of[name], changes)


def build(cfg: Any, in_channels: int = 3, n_classes: int = 0) -> Network:
    """The untrained network of a cfg.

    Args:
        cfg: of a registered type.
        in_channels: of the picture.
        n_classes: of the head; 0 for features.
    """
    _import_families()
    return _build_of[type(cfg)](cfg, in_channels, n_classes)


def backbone(
    name: Any,
    in_channels: int = 3,
    multiplier: float = 1.0,
    *,
    n_classes: int = 0,
    depth: float = 1.0,
    **changes: Any,
) -> Network:
    """The untrained network called `name`, its widths and depths scaled, some cfg values changed.

    `timm:NAME` is a network of timm, see `foreign`; in the place of a name, a cfg of a registered
    type may stand.

    Raises:
        ValueError: no network has that name, its cfg has no such value, or it is timm's and its
            depth should change.
    """
    if isinstance(name, str) and name.startswith(PREFIX):
        if depth != 1:
            raise ValueError(
                f"depth={depth} with {name!r}: expected 1; name a deeper or flatter one"
            )
        return foreign(name, in_channels, multiplier, n_classes, **changes)
    cfg = config(name, **changes) if isinstance(name, str) else changed(name, changes)
    return build(scaled(cfg, width=multiplier, depth=depth), in_channels, n_classes)


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of eight, at least eight and not below nine tenths of `channels`.

    Source: the rounding of MobileNet's and EfficientNet's published widths.
    """
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


def scaled(cfg: Any, *, width: float = 1.0, depth: float = 1.0) -> Any:
    """A cfg with every width and every number of blocks multiplied: compound scaling.

    Widths become multiples of eight, numbers of blocks are rounded up; what is 0 stays 0. The
    third factor, resolution, is the picture's: it is no value of a network.

    Source: Tan & Le 2019 (1905.11946), section 3.3.

    Args:
        cfg: any dataclass whose values were marked by `wide` and `deep`, at any depth.
        width: factor of the widths.
        depth: factor of the numbers of blocks.

    Raises:
        ValueError: a factor is not above 0.
    """
    if width <= 0 or depth <= 0:
        raise ValueError(f"width={width}, depth={depth}: expected more than 0")
    factors = {
        "width": lambda n: divisible(n * width) if n and width != 1 else n,
        "depth": lambda n: -int(-n * depth // 1) if depth != 1 else n,
    }

    def grown(value: Any, factor: Callable[[int], int] | None) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            inner = {
                f.name: grown(getattr(value, f.name), factors.get(f.metadata.get("scales", "")))
                for f in fields(value)
            }
            return replace(value, **inner)
        if isinstance(value, tuple):
            return tuple(grown(item, factor) for item in value)
        return factor(value) if factor and isinstance(value, int) else value

    return grown(cfg, None)


def _import_families() -> None:
    package = import_module("sepaudio.backbones")
    for module in iter_modules(package.__path__):
        if module.name not in OURS:
            import_module(f"sepaudio.backbones.{module.name}")
