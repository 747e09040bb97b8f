"""What lies around the samples at hand: silence, or the rest of a stream.

A network asks its context for the frames before or after the ones it was given and keeps
nothing itself. `WHOLE` answers with silence (or the repeated edge); a `Stream` answers with
what came before and remembers what the next chunk needs. There is one forward for both, so a
whole signal is a stream of one chunk.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Edge = Literal["zero", "repeat"]


class Context:
    """The whole signal is here; before and after it is silence."""

    streaming = False

    def at(self, place: object) -> Context:
        """The context of one place in the network; a whole signal has only one."""
        return self

    def left(self, x: Tensor, n: int) -> Tensor:
        """x [..., L] -> [..., n + L], with the n frames before x."""
        return F.pad(x, (n, 0)) if n else x

    def around(self, x: Tensor, before: int, after: int, edge: Edge = "zero") -> Tensor:
        """x [..., L] -> [..., before + L + after].

        In a stream the frames after x are not there yet: what comes back is as long as
        can be answered for, and lags by `after` frames until the end.
        """
        return _extend(x, before, after, edge)

    def pad(self, x: Tensor, before: int, after: int) -> Tensor:
        """x [..., T] -> with zeros before the signal's first sample and after its last."""
        return F.pad(x, (before, after))

    def frames(self, x: Tensor, size: int, hop: int, fill: bool = True) -> Tensor:
        """x [..., T] -> the samples of n frames, [..., (n - 1) * hop + size]; hop <= size.

        With `fill` the last frame is filled up with zeros, so that no sample is lost and there
        is at least one frame; without, an incomplete one is dropped. In a stream the samples of
        incomplete frames wait for the next chunk, and n may be 0 (the result is then empty).
        """
        if fill:
            rest = max(x.shape[-1] - size, 0)
            return F.pad(x, (0, size + -(-rest // hop) * hop - x.shape[-1]))
        n = (x.shape[-1] - size) // hop + 1
        return x[..., : (n - 1) * hop + size] if n > 0 else x[..., :0]

    def overlap(self, y: Tensor, n: int) -> Tensor:
        """y [..., n + T], overlap-added frames whose last n samples still miss later frames.

        Returns what is settled; for a whole signal that is everything.
        """
        return y

    def crop(self, y: Tensor, before: int, length: int) -> Tensor:
        """y [..., T'] -> [..., length], without its first `before` samples.

        Where y is too short, silence follows. In a stream `length` is that of the chunk, and
        what comes out over all chunks is as long as they are together.
        """
        y = y[..., before : before + length]
        return F.pad(y, (0, length - y.shape[-1]))

    def recall(self) -> Tensor | None:
        """What `remember` kept at this place, or None before the first chunk."""
        return None

    def remember(self, x: Tensor) -> None:
        """Keep `x` for the next chunk; a whole signal has none."""


class Stream(Context):
    """One signal, or one batch of them, arriving in chunks. The network keeps nothing; this does.

    Slots are named by place in the network, not by module: a block played at ten depths with
    the same weights has ten pasts. What is kept are clones, never views, so that a chunk's
    memory is free as soon as the caller drops it and may be overwritten by him.

    Args:
        slots: the state, as `state()` gave it; None starts at silence.
        place: the name of the place, a path.
        ending: one shared flag: the chunk at hand is the last.
    """

    streaming = True

    def __init__(
        self,
        slots: dict[str, Tensor] | None = None,
        place: str = "",
        ending: list[bool] | None = None,
    ):
        self.slots = {} if slots is None else slots
        self.place = place
        self._ending = [False] if ending is None else ending

    @property
    def ending(self) -> bool:
        """Whether the chunk at hand is the last one of the signal."""
        return self._ending[0]

    @ending.setter
    def ending(self, value: bool) -> None:
        self._ending[0] = value

    def state(self) -> dict[str, Tensor]:
        """A copy of everything that is remembered; `Stream(state)` goes on from there."""
        return {place: x.clone() for place, x in self.slots.items()}

    def at(self, place: object) -> Stream:
        """The same stream at a place below this one."""
        return Stream(self.slots, f"{self.place}/{place}", self._ending)

    def left(self, x: Tensor, n: int) -> Tensor:
        """x [..., L] -> [..., n + L], with the n frames that came before x."""
        return self.around(x, n, 0)

    def around(self, x: Tensor, before: int, after: int, edge: Edge = "zero") -> Tensor:
        """x [..., L] -> [..., before + L' + after]: the L' frames that can be answered for."""
        past = self.recall()
        if past is None:
            if not x.shape[-1]:
                return x
            x = _extend(x, before, 0, edge)
        else:
            x = torch.cat([past, x], dim=-1)
        if self.ending:
            x = _extend(x, 0, after, edge)
        else:
            self.remember(x[..., max(x.shape[-1] - before - after, 0) :])
        return x if x.shape[-1] > before + after else x[..., :0]

    def pad(self, x: Tensor, before: int, after: int) -> Tensor:
        """x [..., T] -> with zeros before the signal's first sample and after its last."""
        first = self.recall() is None and x.shape[-1] > 0
        if first:
            self.remember(x.new_ones(1))
        return F.pad(x, (before if first else 0, after if self.ending else 0))

    def frames(self, x: Tensor, size: int, hop: int, fill: bool = True) -> Tensor:
        """x [..., T] -> the samples of the frames that are complete now; the others wait."""
        past = self.recall()
        begun = self.at("begun")  # a first frame is owed, however short the signal
        if past is not None:
            x = torch.cat([past, x], dim=-1)
        fresh = begun.recall() is None
        if self.ending and fill:
            owed = x.shape[-1] > size - hop or (fresh and x.shape[-1] > 0)
            return super().frames(x, size, hop) if owed else x[..., :0]
        n = max((x.shape[-1] - size) // hop + 1, 0)
        if n and fresh:
            begun.remember(x.new_ones(1))
        self.remember(x[..., n * hop :])
        return x[..., : (n - 1) * hop + size] if n else x[..., :0]

    def overlap(self, y: Tensor, n: int) -> Tensor:
        """y [..., n + T] -> [..., T] settled samples; the last n wait for the next chunk."""
        past = self.recall()
        if past is not None:
            known = min(past.shape[-1], y.shape[-1])
            head = y[..., :known] + past[..., :known]
            y = torch.cat([head, past[..., known:], y[..., known:]], dim=-1)
        if self.ending:
            return y
        settled = max(y.shape[-1] - n, 0)
        self.remember(y[..., settled:])
        return y[..., :settled]

    def crop(self, y: Tensor, before: int, length: int) -> Tensor:
        """y [..., T'] -> the samples of it that belong to the signal."""
        past = self.recall()  # still to drop, owed
        drop, owed = (before, 0) if past is None else (int(n) for n in past)
        owed += length
        dropped = min(drop, y.shape[-1])
        y = y[..., dropped : dropped + owed]
        if self.ending:
            return F.pad(y, (0, owed - y.shape[-1]))
        left = [drop - dropped, owed - y.shape[-1]]
        self.remember(torch.tensor(left, dtype=torch.int64))
        return y

    def recall(self) -> Tensor | None:
        """What this place remembers, or None at the start."""
        return self.slots.get(self.place)

    def remember(self, x: Tensor) -> None:
        """Keep a clone of `x` for the next chunk."""
        self.slots[self.place] = x.detach().clone()


def _extend(x: Tensor, before: int, after: int, edge: Edge) -> Tensor:
    if not before and not after:
        return x
    if edge == "zero":
        return F.pad(x, (before, after))
    first, last = x[..., :1], x[..., -1:]
    parts = [first.expand(*x.shape[:-1], before), x, last.expand(*x.shape[:-1], after)]
    return torch.cat(parts, dim=-1)


WHOLE = Context()
