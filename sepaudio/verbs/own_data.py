"""`data=FOLDER` of a recipe: a folder of class folders, or of speakers, becomes its manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import io
from ..data import folders, manifest
from ..training import recipe as recipes


def with_folder(recipe: str | Path, overrides: Sequence[str], target: Path) -> list[str]:
    """Overrides in which the folder of `data=FOLDER` is a manifest, and its classes the labels.

    Classifiers take `<FOLDER>/<class>/**/`, separators and extractors `<FOLDER>/<speaker>/**/`.
    Labels of the recipe are kept where they are the same in another order, and those of an override
    always.

    Args:
        recipe: YAML file.
        overrides: "key=value"; without `data=FOLDER` they are given back.
        target: manifest (CSV) to write.

    Raises:
        ValueError: the folder is not there or not laid out so, a class has too few recordings, or
            one cannot be read and the recipe does not skip it.
    """
    named = [text for text in overrides if text.startswith("data=") and text[5:6] != "{"]
    named = [text for text in named if not Path(text[5:]).is_file()]
    if not named:
        return list(overrides)
    root = Path(named[-1].removeprefix("data="))
    if len(named) > 1 or not root.is_dir():
        raise ValueError(
            f"{' '.join(named)}: expected one folder, which holds a folder for every class or "
            "speaker; several manifests are data.manifests=[one.csv, other.csv]"
        )
    rest = [text for text in overrides if text not in named]
    cfg = recipes.read(recipe, rest)
    bad: list[str] | None = [] if cfg.data.on_bad == "skip" else None
    classes = not isinstance(cfg, recipes.MixtureRecipeCfg)
    try:
        rows = (folders.of_classes if classes else folders.of_speakers)(root, bad=bad)
    except io.AudioError as error:
        raise ValueError(f"{error}; or leave it out: data.on_bad=skip") from error
    labels = _labels(rows, root) if classes else []
    target.parent.mkdir(parents=True, exist_ok=True)
    manifest.write(target, rows)
    made = [f"data.manifests={json.dumps([str(target.resolve())])}"]
    said = any(text.startswith("model.labels=") or _names_labels(text) for text in rest)
    theirs: Any = getattr(recipes.model_cfg(cfg), "labels", ())
    if labels and not said and sorted(theirs) != labels:
        made.append(f"model.labels={json.dumps(labels)}")
    return [*made, *rest]


def _labels(rows: Sequence[manifest.Recording], root: Path) -> list[str]:
    """The classes, each of which must have something to learn from."""
    found = Counter(row.kind for row in rows)
    learned = {row.kind for row in rows if row.split == "train"}
    for kind, n in found.items():
        if kind not in learned:
            raise ValueError(f"{root / kind} has {n} recordings: expected 3 or more of a class")
    return sorted(found)


def _names_labels(override: str) -> bool:
    return override.startswith("model=") and "labels" in override
