"""Training on listed mixtures: what a recipe's lists give, after checking that the model fits."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

from ..data import mixtures
from ..data.dataset import ListedMixtures, Shuffled
from ..data.mixtures import Mixture
from .recipe import MixtureRecipeCfg


def listed(cfg: MixtureRecipeCfg, model: Any) -> tuple[Shuffled, Shuffled]:
    """The mixtures of the splits train and valid of a recipe's lists.

    Raises:
        ValueError: rate or number of sources are not the model's, a split has no mixture, or an
            extractor lacks an enrollment.
    """
    if presence := getattr(model.cfg, "presence", 0.0):
        raise ValueError(
            f"presence={presence} with lists: expected manifests, from which mixtures without the "
            "speaker are drawn; set model.presence=0"
        )
    lists = cfg.data.lists
    rows = [row for path in lists.files for row in mixtures.read(path)]
    for row in rows:
        _check(row, model)
    made = []
    for split in ("train", "valid"):
        here = [row for row in rows if row.split == split]
        if not here:
            raise ValueError(
                f"no mixture of the split {split} in {', '.join(lists.files)}: expected train and "
                "valid; name more lists in data.lists.files"
            )
        whole = lists.enrollment_seconds or None
        enrolled = model.task == "extraction"
        data = ListedMixtures(here, lists.seconds, whole, enrolled=enrolled)
        made.append(Shuffled(data, cfg.data.on_bad, _tell))
    return made[0], made[1]


def _tell(text: str) -> None:
    """Name a mixture that is left out, whichever process it was that met it."""
    sys.stderr.write(f"\ndata: left out, {text}\n")


def about(rows: Sequence[Mixture]) -> tuple[tuple[str, ...], str]:
    """Names of the sets that rows are of, and SHA-256 over the mixtures and the files' names."""
    digest = hashlib.sha256()
    for row in rows:
        parts = [*row.sources, *([row.noise] if row.noise else []), *row.enrollments]
        heard = [(part.path.name, part.start, part.duration, part.gain) for part in parts]
        digest.update(f"{row.id}|{row.rules}|{row.mode}|{row.sample_rate}|{heard}\n".encode())
    rules = {"listed mixtures" if row.rules == "plain" else row.rules for row in rows}
    return tuple(sorted(rules)), digest.hexdigest()


def _check(row: Mixture, model: Any) -> None:
    if row.sample_rate != model.sample_rate:
        raise ValueError(
            f"mixture {row.id} is at {row.sample_rate} Hz: expected the model's "
            f"{model.sample_rate}; make the list at that rate"
        )
    if model.task == "separation" and len(row.sources) != model.cfg.n_src:
        raise ValueError(
            f"mixture {row.id} has {len(row.sources)} sources: expected the model's "
            f"{model.cfg.n_src}; set model.n_src"
        )
