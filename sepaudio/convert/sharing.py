"""The same separator or extractor with weights shared in another way."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from torch import nn

from .. import registry


def reshare(
    model: nn.Module,
    sharing: str,
    private: Collection[str] = (),
    everywhere: Collection[str] = (),
) -> nn.Module:
    """A copy of a model whose TCN shares weights by another plan; see `layers.plan`.

    Un-tying (`sharing="none"`), before fine-tuning, changes no output. Tying weights that differ
    takes their mean: a start for training on, not a model to use.

    Raises:
        ValueError: the model has no TCN with a plan, or the plan is not known.
    """
    cfg: Any = getattr(model, "cfg", None)
    if not hasattr(cfg, "tcn"):
        raise ValueError(f"{type(model).__name__} has no TCN: expected a separator or an extractor")
    tcn = replace(cfg.tcn, sharing=sharing, private=tuple(private), everywhere=tuple(everywhere))
    new: Any = registry.build(replace(cfg, tcn=tcn))
    new.to(next(model.parameters()))
    rest = {k: v for k, v in model.state_dict().items() if not k.startswith("tcn.")}
    new.load_state_dict(rest, strict=False)
    new.tcn.load_places(model.tcn)
    return new.train(model.training)  # type: ignore[no-any-return]
