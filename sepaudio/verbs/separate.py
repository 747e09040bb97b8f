"""All sources of a recording, or one speaker of it, on arrays.

Channels are averaged first, and the rate is converted to the model's by soxr. Estimates come at the
model's rate, as long and as loud as the recording; nothing is divided by its own peak. A causal
model hears the recording as a stream, whatever its length. Any other hears up to 30 seconds at
once; a longer recording goes through it in such windows, which overlap by a quarter and are faded
into each other. Sources of one window are given the order of the window before by what they have in
common where the two overlap. An extractor that judges presence gives true silence where the speaker
is not heard (`presence`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .given import Array, at_rate, place
from .presence import Heard, where_present

if TYPE_CHECKING:
    from torch import nn

    from ..frontends import Embedding

WHOLE = 30.0  # [s]
SEPARATOR, EXTRACTOR = "two_speakers", "one_speaker"  # the weights used unless others are named
OVERLAP = 0.25  # of a window


def separate(
    x: Any,
    sample_rate: int,
    *,
    model: str | Path | nn.Module = SEPARATOR,
    device: str = "auto",
    whole: float = WHOLE,
) -> tuple[Array, int]:
    """All sources of an array.

    Args:
        x: [T] or [C, T], full scale is 1. Anything numpy can read.
        sample_rate: of x [Hz].
        model: model folder, name of weights, or a loaded separator.
        device: "auto", "cpu", "cuda" or "mps".
        whole: what a model that is not causal hears at once [s].

    Returns:
        Estimates [S, T'] and their rate, which is the model's [Hz].

    Raises:
        ValueError: x is empty, has NaN, or has its channels last; the model is no separator.
    """
    net = place(model, device, "separation")
    mixture = at_rate(x, sample_rate, net.sample_rate)
    return run(net, mixture, (), whole), int(net.sample_rate)


def extract(
    x: Any,
    sample_rate: int,
    embedding: Embedding | NDArray[Any],
    *,
    model: str | Path | nn.Module = EXTRACTOR,
    device: str = "auto",
    whole: float = WHOLE,
    least: float | None = None,
) -> tuple[Array, int]:
    """One speaker out of an array; see `separate`.

    Args:
        x: [T] or [C, T], full scale is 1.
        sample_rate: of x [Hz].
        embedding: of the speaker: what `enroll` gives, or a vector [E] from elsewhere.
        model: model folder, name of weights, or a loaded extractor.
        device: "auto", "cpu", "cuda" or "mps".
        whole: what a model that is not causal hears at once [s].
        least: probability of the speaker below which a stretch becomes silence, where the model
            judges presence; 0 keeps all, None takes the model's own.

    Returns:
        The estimate [T'] and its rate, which is the model's [Hz].

    Raises:
        ValueError: as `separate`; another front-end made the embedding.
    """
    return extract_heard(
        x, sample_rate, embedding, model=model, device=device, whole=whole, least=least
    )[:2]


def extract_heard(
    x: Any,
    sample_rate: int,
    embedding: Embedding | NDArray[Any],
    *,
    model: str | Path | nn.Module = EXTRACTOR,
    device: str = "auto",
    whole: float = WHOLE,
    least: float | None = None,
) -> tuple[Array, int, Heard | None]:
    """As `extract`, and where the speaker is heard.

    That is None of a model that does not judge it, and with `least` 0, which spares its time.
    """
    import torch

    from ..frontends import Embedding

    if least is not None and not 0 <= least <= 1:
        raise ValueError(f"least={least}: expected a probability from 0 to 1")
    net = place(model, device, "extraction")
    like = next(net.parameters())
    if isinstance(embedding, Embedding):
        given = Embedding(embedding.vectors.to(like), embedding.speaker)
    else:
        vector = torch.as_tensor(np.atleast_2d(np.asarray(embedding, np.float32)))
        given = Embedding(vector.to(like))
    mixture = at_rate(x, sample_rate, net.sample_rate)
    estimate, heard = run(net, mixture, (given,), whole)[0], None
    if least != 0:
        estimate, heard = where_present(net, mixture, estimate, given, least)
    return estimate, int(net.sample_rate), heard


def run(net: Any, mixture: Array, given: Sequence[Any], whole: float = WHOLE) -> Array:
    """mixture [T] at the model's rate -> estimates [S, T]; an extractor's only one has S = 1."""
    if net.causal:
        return np.concatenate(list(_stream(net, mixture, given)), axis=1)
    size = round(whole * net.sample_rate)
    if len(mixture) <= size:
        return _forward(net, mixture, given)
    if size < 4 * max(net.hop, 2):
        raise ValueError(f"whole={whole}: expected some seconds, such as {WHOLE:g}")
    return _windows(net, mixture, given, size)


def _forward(net: Any, mixture: Array, given: Sequence[Any]) -> Array:
    import torch

    like = next(net.parameters())
    with torch.inference_mode():
        y = net(torch.from_numpy(mixture).to(like)[None], *given)[0]
    found: Array = y.float().cpu().numpy()
    return np.atleast_2d(found)


def _stream(net: Any, mixture: Array, given: Sequence[Any]) -> Iterator[Array]:
    import torch

    from ..streaming import Streamer

    like, stream = next(net.parameters()), Streamer(net, *given)
    block = int(net.sample_rate)
    for start in range(0, len(mixture), block):
        chunk = torch.from_numpy(mixture[start : start + block]).to(like)[None]
        yield np.atleast_2d(stream.feed(chunk)[0].float().cpu().numpy())
    yield np.atleast_2d(stream.flush()[0].float().cpu().numpy())


def _windows(net: Any, mixture: Array, given: Sequence[Any], size: int) -> Array:
    """Overlapping windows, each in the order of the one before, faded into it."""
    step = round((1 - OVERLAP) * size / net.hop) * net.hop  # windows are framed as the whole is
    shared = size - step
    fade = np.linspace(0, 1, shared + 2, dtype=np.float32)[1:-1]
    total: Array | None = None
    for start in range(0, len(mixture) - shared, step):
        y = _forward(net, mixture[start : start + size], given)
        if total is None:
            total = np.zeros((len(y), len(mixture)), np.float32)
            total[:, : y.shape[1]] = y
            continue
        before = total[:, start : start + shared]
        y = y[list(same_order(before, y[:, :shared]))]
        total[:, start : start + shared] = before * (1 - fade) + y[:, :shared] * fade
        total[:, start + shared : start + y.shape[1]] = y[:, shared:]
    assert total is not None  # a window at least, as the mixture is longer than one
    return total


def same_order(before: Array, after: Array) -> tuple[int, ...]:
    """The order of `after` [S, T] in which it is most like `before` [S, T]."""
    n = len(before)
    likeness = before.astype(np.float64) @ after.T
    if n > 6:  # too many orders to try: the likest pair first
        order = [0] * n
        for _ in range(n):
            i, j = np.unravel_index(likeness.argmax(), likeness.shape)
            order[i] = int(j)
            likeness[i, :], likeness[:, j] = -np.inf, -np.inf
        return tuple(order)
    return max(permutations(range(n)), key=lambda p: sum(likeness[i, p[i]] for i in range(n)))
