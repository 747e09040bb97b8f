"""One token after the other: what auto-regressive decoders have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..context import Context, Stream

Predict = Callable[[Tensor, Context], Tensor]  # tokens before [B, N] -> logits [B, K, N]


def shifted(tokens: Tensor, start: int) -> Tensor:
    """tokens [B, N] -> the token before each of them [B, N]; before the first it is `start`."""
    first = torch.full_like(tokens[:, :1], start)
    return torch.cat([first, tokens[:, :-1]], dim=1)


def greedy(
    predict: Predict,
    start: Tensor,
    most: int,
    end: int | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """The likeliest token, given which the next likeliest, and so on.

    The decoder hears each token once: it is a stream that is fed what it said.

    Args:
        predict: a causal decoder.
        start: what comes before the first token, [B].
        most: tokens at most.
        end: the token that ends a sequence; None for sequences of `most`.
        lengths: [B], most tokens of each sequence, where they differ; needs `end`.

    Returns:
        Tokens [B, N], N <= most, filled up with `end`.

    Raises:
        ValueError: there are lengths, but no token that ends.
    """
    if lengths is not None and end is None:
        raise ValueError("lengths without end: expected a token that fills sequences up")
    stream, now, said = Stream(), start, list[Tensor]()
    ended = torch.zeros_like(start, dtype=torch.bool)
    for n in range(most):
        now = predict(now[:, None], stream)[..., -1].argmax(dim=1)
        if end is not None:
            if lengths is not None:
                ended = ended | (n >= lengths)
            now = now.masked_fill(ended, end)
            ended = ended | (now == end)
        said.append(now)
        if bool(ended.all()):
            break
    return torch.stack(said, dim=1) if said else start.new_zeros(len(start), 0)
