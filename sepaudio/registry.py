"""A name is a cfg; a cfg type has a class. Cfgs go to JSON and come back unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from torch import nn

_class_of: dict[type, type[nn.Module]] = {}
_cfg_of: dict[str, Any] = {}
LISTED = 300  # names that an error lists at most
_Module = TypeVar("_Module", bound=type[nn.Module])


def register(cfg_type: type, **names: Any) -> Callable[[_Module], _Module]:
    """Class decorator: the class is built from a `cfg_type`, and these names are such cfgs."""

    def bind(cls: _Module) -> _Module:
        _class_of[cfg_type] = cls
        _cfg_of.update(names)
        return cls

    return bind


def _import_models() -> None:
    package = import_module("sepaudio.models")
    for module in iter_modules(package.__path__):
        import_module(f"sepaudio.models.{module.name}")


def names(*, tests: bool = False) -> list[str]:
    """All registered names; the tiny `*_test` cfgs only when asked for."""
    _import_models()
    return sorted(name for name in _cfg_of if tests or not name.endswith("_test"))


def config(name: str, **changes: Any) -> Any:
    """The cfg called `name`, with some values changed.

    Raises:
        ValueError: no model has that name, or the cfg has no such value.
    """
    _import_models()
    if name not in _cfg_of:
        raise ValueError(unknown("model", name, names()))
    return changed(_cfg_of[name], changes)


def create(name: str, **changes: Any) -> nn.Module:
    """The untrained model called `name`, with some cfg values changed.

    >>> create("swishnet_slim").cfg.width
    1
    """
    return build(config(name, **changes))


def build(cfg: Any) -> nn.Module:
    """The untrained model of a cfg."""
    _import_models()
    return _class_of[type(cfg)](cfg)


def to_dict(cfg: Any) -> dict[str, Any]:
    """A cfg as plain JSON values, with the name of its type under "type"."""
    return {"type": type(cfg).__name__, **_values(cfg)}


def _values(cfg: Any) -> dict[str, Any]:
    """The values of a cfg; a cfg inside it names its type where it may be of several."""
    hints = get_type_hints(type(cfg))
    values = asdict(cfg)
    for key, hint in hints.items():
        inner = getattr(cfg, key, None)
        if is_dataclass(inner):
            values[key] = _values(inner) if len(_kinds(hint)) < 2 else to_dict(inner)
    return values


def brief(cfg: Any) -> dict[str, Any]:
    """The values of a cfg that are not its defaults, as plain ones that recipes can hold."""
    told = {}
    for item in fields(cfg):
        value = getattr(cfg, item.name)
        made = item.default_factory() if callable(item.default_factory) else item.default
        if value != made:
            told[item.name] = _brief(value)
    return told


def _brief(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_brief(item) for item in value]
    return brief(value) if is_dataclass(value) else value


def _kinds(hint: Any) -> dict[str, Any]:
    """The cfg types that a hint allows, by name."""
    inner = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return {kind.__name__: kind for kind in inner if is_dataclass(kind)}  # type: ignore[union-attr]


def from_dict(values: dict[str, Any]) -> Any:
    """The cfg that `to_dict` wrote.

    Raises:
        ValueError: the type or a key is not known.
    """
    _import_models()
    types = {cfg_type.__name__: cfg_type for cfg_type in _class_of}
    kind = values.get("type", "")
    if kind not in types:
        raise ValueError(unknown("cfg type", str(kind), sorted(types)))
    return _fill(types[kind], _untyped(values))


def unknown(what: str, name: str, known: list[str]) -> str:
    """The text for a name that is not known, with the nearest one that is."""
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(known) if len(known) <= LISTED else f"{len(known)} names"
    return f"no {what} is called {name!r}{hint} (known: {listed})"


def _check_key(key: str, cfg_type: type) -> None:
    known = [field.name for field in fields(cfg_type)]
    if key not in known:
        raise ValueError(unknown(f"{cfg_type.__name__} value", key, known))


def changed(cfg: Any, changes: dict[str, Any]) -> Any:
    """A cfg with some values changed, those of cfgs inside it by a dict of theirs.

    Raises:
        ValueError: the cfg has no such value.
    """
    hints, new = get_type_hints(type(cfg)), {}
    for key, value in changes.items():
        _check_key(key, type(cfg))
        now = getattr(cfg, key)
        if is_dataclass(now) and isinstance(value, dict) and _is(now, value):
            new[key] = changed(now, _untyped(value))
        else:
            new[key] = _revive(hints[key], value)
    return replace(cfg, **new)


def _untyped(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "type"}


def _is(cfg: Any, values: dict[str, Any]) -> bool:
    """Whether the values are meant for a cfg of this type."""
    return bool(values.get("type", type(cfg).__name__) == type(cfg).__name__)


def _fill(cfg_type: type, values: dict[str, Any]) -> Any:
    hints = get_type_hints(cfg_type)
    for key in values:
        _check_key(key, cfg_type)
    return cfg_type(**{key: _revive(hints[key], value) for key, value in values.items()})


def _revive(hint: Any, value: Any) -> Any:
    """JSON has lists for tuples and objects for cfgs."""
    kinds = _kinds(hint)
    if kinds and isinstance(value, dict):  # of several the first, unless it names its type
        name = str(value.get("type", next(iter(kinds))))
        if name not in kinds:
            raise ValueError(unknown("cfg type", name, sorted(kinds)))
        return _fill(kinds[name], _untyped(value))
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        inner = get_args(hint)[0]
        return tuple(_revive(inner, item) for item in value)
    return value
