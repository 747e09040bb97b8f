"""Make a trained model smaller: step by step, each followed by training, and pack it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from .. import hub
from ..training import compress as steps
from .train import train


def compress(
    recipe: str | Path,
    model: str | Path,
    overrides: Sequence[str] = (),
    *,
    low_rank: float = 0.0,
    prune: float = 0.0,
    bits: int = 0,
    output: str | Path,
    quiet: bool = False,
) -> Path:
    """Compress a model; returns the folder of the packed one, which `hub.load` reads.

    The steps that are asked for follow each other in the order of the arguments, each with a run
    of the recipe after it. A call that was killed goes on when called again.

    Args:
        recipe: YAML file by which the model learns on; usually with fewer steps and a smaller
            learning rate than it was trained with.
        model: name of trained weights, or a model folder.
        overrides: "key=value".
        low_rank: share of the energy of each matrix that is kept, see `compress.low_rank`.
        prune: share of the weights that become zero.
        bits: of the number of a weight's value, of which a tensor has 2^bits.
        output: folder of the runs, and of the packed model in `model`.
        quiet: no progress bar, and nothing is said of the runs.

    Raises:
        ValueError: no step is asked for, a value is out of range, or recipe and model do not fit.
    """
    asked: dict[str, Callable[[nn.Module], object]] = {}
    if low_rank:
        asked["low_rank"] = partial(steps.low_rank, energy=low_rank)
    if prune:
        asked["prune"] = partial(steps.prune, share=prune)
    if bits:
        asked["share"] = partial(steps.share, bits=bits)
    if not asked:
        raise ValueError("nothing to do: expected one of low_rank, prune and bits")
    if low_rank and len(asked) > 1:
        raise ValueError(
            f"low_rank={low_rank} with prune={prune}, bits={bits}: expected it alone, since zeros "
            "and equal weights have no low rank"
        )
    folder = Path(output)
    last = str(model)
    for name, step in asked.items():  # equal weights that are zero stay so: no mask is needed
        run = folder / name
        last = str(train(recipe, overrides, init=last, output=run, before=step, quiet=quiet))
    net: Any = hub.load(last)
    if bits:
        steps.share(net, bits)  # of values that rounding has parted
    config = {
        key: value
        for key, value in hub.read_config(last).items()
        if key not in ("format", "sepaudio", "cfg", "sample_rate", "labels")
    }
    told = {"low_rank": low_rank, "prune": prune, "bits": bits, "of": Path(str(model)).name}
    return hub.save_packed(
        net,
        folder / "model",
        card=_card(last, told),
        factors=steps.factors(net) if low_rank else {},
        **config,
        compressed={key: value for key, value in told.items() if value},
    )


def _card(folder: str, told: dict[str, Any]) -> str:
    """The card of the last run, and what was done to its model."""
    text = (Path(folder) / "README.md").read_text(encoding="utf-8")
    done = {
        "low_rank": "matrices of low rank that keep {:g} of the energy",
        "prune": "{:g} of the weights zero",
        "bits": "{} bits for a weight",
    }
    parts = [line.format(told[key]) for key, line in done.items() if told[key]]
    return f"{text}\n## Compressed\n\nFrom `{told['of']}`: {'; '.join(parts)}.\n"
