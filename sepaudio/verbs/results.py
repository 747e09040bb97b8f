"""Results of recipes: trained models scored on lists of mixtures, and a README's block of them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import files, hub
from .evaluate_mixtures import evaluate_mixtures
from .scores import Row, to_csv


def score_lists(
    model: Any, lists: Sequence[Path], out: Path, **options: Any
) -> dict[str, list[Row]]:
    """Rows by list; a CSV of each and the first mixtures as audio go to `out`.

    Args:
        model: a loaded separator or extractor.
        lists: of mixtures (CSV).
        out: folder of the scores.
        options: of `evaluate_mixtures`.

    Raises:
        ValueError: a list does not fit the model.
    """
    found = {}
    out.mkdir(parents=True, exist_ok=True)
    for path in lists:
        rows = list(evaluate_mixtures(model, path, examples=out / path.stem, **options))
        files.atomic_text(out / f"{path.stem}.csv", to_csv(rows))
        found[path.stem] = rows
    return found


def described(model: Any, folder: str | Path) -> str:
    """A sentence on a model: its size, and the run that its folder tells of."""
    config = hub.read_config(folder)
    unit = "dB" if "valid_loss_db" in config else "nats"
    loss = f"{config[f'valid_loss_{unit.lower()}']:.2f} {unit}"
    second = getattr(getattr(model, "speaker", None), "second", None)
    beside = f" and {_count(second)} in an encoder that hears for presence alone" if second else ""
    return (
        f"{_count(model)} parameters, of which {_count(model.tcn)} in the blocks{beside}; "
        f"{config['recipe']['optim']['steps']} steps at most, seed {config['seed']}, validation "
        f"loss {loss}."
    )


def _count(model: Any) -> str:
    return f"{sum(p.numel() for p in model.parameters()):,}"


def machine(model: Any) -> str:
    """A sentence on what a model is measured with: its device, this machine, versions."""
    device, python = next(model.parameters()).device.type, platform.python_version()
    return (
        f"Measured on {device} ({platform.machine()}, Python {python}, torch {version('torch')})."
    )


def fill(readme: str | Path, text: str, block: str = "results") -> None:
    """Write a text between the marks of a README, in the place of what is there.

    Args:
        readme: file with `<!-- results -->` and `<!-- end results -->`.
        text: Markdown.
        block: the word in the marks, where a file has several pairs of them.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = f"<!-- {block} -->", f"<!-- end {block} -->"
    old = Path(readme).read_text(encoding="utf-8")
    head, begun, rest = old.partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{readme}: expected {begin} and {end}, between which results are written")
    files.atomic_text(readme, f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}")
