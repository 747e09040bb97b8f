"""A speaker encoder that imitates another one, its teacher, which has heard many more speakers.

Source: Wang et al. 2019, "Knowledge distillation for small foot-print deep speaker embedding"
(ICASSP 2019), which teaches by the cosine of two vectors and by what a teacher says of labels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.render import voices as numbered

SHARP = 20.0  # that a cosine is told with, where a voice is to be found among all of the teacher
NAMED = 0.25  # weight of finding it, beside how far vectors lie apart


class Teacher(nn.Module):
    """What another encoder makes of the speakers of the training split."""

    numbers: Tensor
    vectors: Tensor

    def __init__(self, numbers: Tensor, vectors: Tensor):
        """Remember the voices.

        Args:
            numbers: of voices as batches have them [N], sorted.
            vectors: [N, E] of length 1.
        """
        super().__init__()
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self, vectors: Tensor, voices: Tensor) -> Tensor:
        """How badly vectors [V, E] imitate those of their voices [V], on the mean over known ones.

        That is 1 - cosine, and how surely another voice of the teacher is nearer: `NAMED` times
        the cross-entropy of its cosines with all of them. All who are played faster or slower are
        unknown: they sound like somebody else.
        """
        at = torch.searchsorted(self.numbers, voices).clamp_max(len(self.numbers) - 1)
        known = self.numbers[at] == voices
        cosines = F.normalize(vectors.float(), dim=1) @ self.vectors.T
        apart = 1 - cosines.gather(1, at[:, None])[:, 0]
        named = F.cross_entropy(SHARP * cosines, at, reduction="none")
        return ((apart + NAMED * named) * known).sum() / known.sum().clamp_min(1)


def teacher_of(path: str | Path, size: int) -> Teacher:
    """A teacher from a file (safetensors) with one vector [D] for each name of a speaker.

    Encoders leave much the same in the vectors of all voices, and may have more numbers than ours:
    their mean is taken away, and what is left is told by its `size` principal components.

    Args:
        path: of the file.
        size: numbers of the vectors that are learned (E).

    Raises:
        ValueError: there is no such file, or it holds something else, or too little.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"teacher={path} is no file of vectors ({error}): expected safetensors with one "
            "vector for each speaker's name"
        ) from error
    shapes = {tuple(vector.shape) for vector in found.values()}
    count, width = len(found), next(iter(shapes), (0,))[0]
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or min(count - 1, width) < size:
        raise ValueError(
            f"teacher={path} has {count} vectors of shapes {sorted(shapes)[:3]}: expected all of "
            f"one length, of {size} or more numbers, of more than {size} speakers"
        )
    vectors = F.normalize(torch.stack(list(found.values())).double(), dim=1)
    if not vectors.isfinite().all():
        raise ValueError(f"teacher={path} has numbers that are not finite: make it again")
    rest = vectors - vectors.mean(0)
    axes = torch.linalg.svd(rest, full_matrices=False).Vh[:size]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # either way round fits
    numbers = torch.tensor(numbered(found, [1.0] * count))
    order = numbers.argsort()
    told = F.normalize(rest @ axes.T, dim=1).float()
    return Teacher(numbers[order], told[order])
