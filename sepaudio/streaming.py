"""Run a causal model on audio that arrives in pieces of any length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .context import Stream


class Streamer:
    """Feed samples, get back what is ready; all chunks together give what the whole gives.

    The model keeps nothing, so that one model serves any number of streamers. `state()` and
    `restore()` move a stream to another process, bit for bit.

    Args:
        model: a causal one.
        given: what it takes besides the audio, the same for the whole stream: an extractor's
            embedding [B, E].

    Raises:
        ValueError: the model is not causal.
    """

    def __init__(self, model: nn.Module, *given: Any):
        if not model.causal:
            raise ValueError(
                f"{type(model).__name__} is not causal, so it cannot stream; "
                "use a causal model such as swishnet_slim"
            )
        self.model, self.given = model, given
        self._channels: int | None = getattr(model, "channels", None)
        self._stream = Stream()
        self._ended = False
        self._batch: int | None = None

    @torch.inference_mode()
    def feed(self, chunk: Tensor) -> Tensor:
        """chunk [B, T], T >= 0 -> the model's outputs that are complete now, [B, ..., L >= 0].

        For a model with channels the chunk is [B, C, T].

        Raises:
            ValueError: wrong shape, another batch size than before, or the stream has ended.
        """
        wanted = () if self._channels is None else (self._channels,)
        if chunk.shape[1:-1] != wanted or chunk.ndim < 2:
            axes = ", ".join(["B", *map(str, wanted), "T"])
            raise ValueError(
                f"chunk has shape {list(chunk.shape)}: expected [{axes}]; "
                "use chunk[None] for one signal"
            )
        if self._ended:
            raise ValueError("the stream has ended with flush(); start another Streamer")
        if self._batch not in (None, len(chunk)):
            raise ValueError(f"chunk has batch {len(chunk)}: this stream began with {self._batch}")
        self._batch = len(chunk)
        y: Tensor = self.model(chunk, *self.given, context=self._stream)
        return y

    def flush(self) -> Tensor:
        """End the signal: what only its end completes.

        Raises:
            ValueError: nothing was fed, so there is nothing to end.
        """
        if self._batch is None:
            raise ValueError("nothing was fed, so there is nothing to flush")
        self._stream.ending = True
        like = next(self.model.parameters())
        shape = (self._batch, *([] if self._channels is None else [self._channels]), 0)
        tail = self.feed(like.new_zeros(shape))
        self._ended = True
        return tail

    def state(self) -> dict[str, Tensor]:
        """Everything that is remembered, as tensors by place; safe to write as safetensors."""
        return self._stream.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        self._stream = Stream({place: x.clone() for place, x in state.items()})
        self._ended = False
        self._batch = None
