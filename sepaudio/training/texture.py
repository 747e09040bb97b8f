"""What listens beside the networks of a picture classifier: found from clips before they learn.

As `training.classical` has it: a mixture by EM, a support vector machine, whose cost and whose
temperature are chosen on clips that are kept aside at first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..data import folds
from ..data.clips import windows
from ..data.manifest import Recording
from .classical import ClassicalRecipe, Example, Fitted, fit_classical
from .survey import say

ASIDE = 5  # a part of so many is kept aside where folds do not say which


@torch.no_grad()
def find(
    model: Any, clips: Any, fill: str = "silence", seed: int = 0, *, quiet: bool = False
) -> Fitted | None:
    """Find the `texture` of a model, in place, from the clips that are trained on, as they are.

    Where they are too few, it is made to say nothing; the user is told why, and None comes back.

    Args:
        model: an ESResNet with a texture.
        clips: `training.clips.Clips`.
        fill: beside clips that are shorter than a window.
        seed: of every draw.
        quiet: say only why there is none.

    Raises:
        ImportError: scikit-learn, which has the support vector machine, is not installed.
    """
    numbers, part = clips.parts["train"], model.texture
    try:
        aside = kept_aside([clips.shelf.rows[i] for i in numbers], seed)
        given = [
            Example(
                features=part.frontend(torch.from_numpy(wave)[None])[0],
                label=int(clips.labels[i]),
                held_out=held_out,
            )
            for i, held_out in zip(numbers, aside, strict=True)
            for wave in windows(clips.shelf.take(i), clips.samples, fill)
        ]
        with torch.random.fork_rng(devices=[]):  # what is drawn later does not hang on this
            fitted = fit_classical(part.cfg, given, replace(ClassicalRecipe(), seed=seed))
    except ValueError as error:  # own classes from a few short clips should still be learned
        part.head.weight.zero_()
        part.head.bias.zero_()
        say(f"texture: says nothing, there is too little to find it from ({error})")
        return None
    part.load_state_dict(fitted.model.state_dict())
    if not quiet:
        right = 100 * fitted.valid_accuracy
        say(f"texture: names {right:.1f} % of the clips that were kept aside at first, by itself")
    return fitted


def kept_aside(rows: Sequence[Recording], seed: int = 0) -> list[bool]:
    """Which of some recordings are kept aside: the last of their folds.

    Where that leaves a class without a clip on one side, every fifth clip of a class by chance, or
    one of the fewest that a class has.

    Raises:
        ValueError: a class has fewer than two clips.
    """
    last = max((row.fold or 0 for row in rows), default=0)
    sides = [{row.kind for row in rows if (row.fold == last) is side} for side in (True, False)]
    if last and sides[0] == sides[1]:
        return [row.fold == last for row in rows]
    kind, fewest = min(Counter(row.kind for row in rows).items(), key=lambda one: one[1])
    if fewest < 2:
        raise ValueError(
            f"{fewest} clip of {kind} to train on: expected two of every class or more; add some, "
            "or leave the texture out with model.texture=0"
        )
    return [row.fold == 1 for row in folds.shuffled(rows, min(ASIDE, fewest), seed)]
