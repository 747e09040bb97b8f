"""A bounded share of all frames, drawn while they come."""

from __future__ import annotations

import torch
from torch import Tensor


class Drawn:
    """At most `most` of all frames added, each as likely as any other.

    Args:
        most: frames that are kept.
        seed: of the draws.
    """

    def __init__(self, most: int, seed: int):
        self.most = most
        self.generator = torch.Generator().manual_seed(seed)
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.n = 0

    def add(self, frames: Tensor) -> None:
        """Frames [D, L]."""
        lots = torch.rand(frames.shape[1], generator=self.generator)
        self.kept.append((lots, frames))
        self.n += frames.shape[1]
        if self.n > 2 * self.most:
            self._drop()

    def _drop(self) -> None:
        """Keep the frames with the lowest lots, in their order."""
        lots = torch.cat([lots for lots, _ in self.kept])
        frames = torch.cat([frames for _, frames in self.kept], dim=1)
        if len(lots) > self.most:
            keep = lots.topk(self.most, largest=False).indices.sort().values
            lots, frames = lots[keep], frames[:, keep]
        self.kept, self.n = [(lots, frames)], len(lots)

    def frames(self) -> Tensor:
        """All that were drawn, [D, L]."""
        self._drop()
        return self.kept[0][1]
