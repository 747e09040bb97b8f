"""CutMix: a patch of one picture in the place of another's, and its label for as much of the area.

Source: Yun et al. 2019 (1905.04899), section 3.1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Random = np.random.Generator


def box(size: tuple[int, int], share: float, random: Random) -> tuple[slice, slice]:
    """A box of that share of a picture (F, L), of the picture's form, cut off at its edges."""
    sides = []
    for length in size:
        half, middle = length * share**0.5 / 2, random.uniform(0, length)
        sides.append(slice(max(0, round(middle - half)), min(length, round(middle + half))))
    return sides[0], sides[1]


def cutmix(x: Tensor, targets: Tensor, random: Random, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
    """One box for the whole batch, in which every picture shows another one of the batch.

    Args:
        x: pictures [B, ..., F, L].
        targets: [B, K], shares of the classes, such as one-hot labels.
        random: what is drawn from; the same state gives the same batch.
        alpha: of the Beta distribution that the share of the own picture comes from.

    Returns:
        Pictures of the same shape, and targets weighted by area, after the box was cut off.

    Raises:
        ValueError: there are not as many targets as pictures, or alpha is not above 0.
    """
    if len(targets) != len(x) or targets.ndim != 2:
        raise ValueError(
            f"targets have shape {list(targets.shape)}: expected [{len(x)}, K]; make labels one-hot"
        )
    if alpha <= 0:
        raise ValueError(f"alpha={alpha}: expected more than 0, such as 1.0")
    high, wide = x.shape[-2:]
    rows, frames = box((high, wide), 1 - random.beta(alpha, alpha), random)
    order = torch.from_numpy(random.permutation(len(x))).to(x.device)
    mixed = x.clone()
    mixed[..., rows, frames] = x[order][..., rows, frames]
    share = (rows.stop - rows.start) * (frames.stop - frames.start) / (high * wide)
    return mixed, (1 - share) * targets + share * targets[order]
