"""RandAugment for sound: a few operations, drawn at random, all at one magnitude.

Source: Cubuk et al. 2019 (1909.13719), algorithm 1. Differs: the operations are those of sound.

Every operation takes a waveform [T], its sample rate, a strength from 0 to 1 and a generator, and
gives [T]; at strength 0 it changes nothing, at 1 as much as a listener puts up with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .. import io
from .augment import (
    Array,
    Random,
    add,
    coloured_noise,
    equalise,
    reverberate,
    shape_spectrum,
    simulated_response,
)

MOST = 10.0  # the largest magnitude
Operation = Callable[[Array, int, float, Random], Array]


def gain(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Louder or softer by up to 18 dB."""
    return (x * 10 ** (random.uniform(-18, 18) * strength / 20)).astype(np.float32)


def shift(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Later or earlier by up to half the clip; what leaves at one end comes in at the other."""
    return np.roll(x, round(random.uniform(-0.5, 0.5) * strength * len(x)))


def stretch(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Faster and higher, or slower and deeper, by up to a third of an octave; cut or padded."""
    rate = round(sample_rate * 2 ** (random.uniform(-1 / 3, 1 / 3) * strength))
    heard, y = io.resample(x, sample_rate, rate), np.zeros_like(x)
    n = min(len(x), len(heard))
    y[:n] = heard[:n]
    return y


def equaliser(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Another smooth frequency response, of up to 18 dB."""
    return equalise(x, sample_rate, 18 * strength, random)


def mask_time(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Silence for up to a quarter of the clip."""
    length = round(0.25 * strength * random.random() * len(x))
    start, y = random.integers(len(x) - length + 1), x.copy()
    y[start : start + length] = 0
    return y


def mask_band(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """A band of up to an octave weakened by up to 40 dB."""
    middle = np.exp(random.uniform(np.log(100), np.log(0.4 * sample_rate)))
    edges = middle * 2 ** (np.array([-0.6, -0.5, 0.5, 0.6]) * random.random())
    drop = -40.0 * strength
    return shape_spectrum(
        x,
        sample_rate,
        np.sort(edges).astype(np.float32),
        np.array([0.0, drop, drop, 0.0], dtype=np.float32),
    )


def noise(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Coloured noise, at 5 dB under the clip with full strength."""
    snr_db = 5 - 20 * np.log10(max(strength, 1e-6))
    return add(x, coloured_noise(max(len(x), 2), random)[: len(x)], snr_db)


def room(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """The clip as a room would give it back, laid over the clip."""
    wet = reverberate(x, simulated_response(sample_rate, random))
    return ((1 - strength) * x + strength * wet).astype(np.float32)


def overdrive(x: Array, sample_rate: int, strength: float, random: Random) -> Array:
    """Cut off at down to a tenth of the peak."""
    limit = (1 - 0.9 * strength) * float(np.abs(x).max(initial=0.0))
    return x.clip(-limit, limit)


OPERATIONS: dict[str, Operation] = {
    "gain": gain,
    "shift": shift,
    "stretch": stretch,
    "equaliser": equaliser,
    "mask_time": mask_time,
    "mask_band": mask_band,
    "noise": noise,
    "room": room,
    "overdrive": overdrive,
}


def rand_augment(
    x: Array,
    sample_rate: int,
    random: Random,
    *,
    n: int = 2,
    magnitude: float = 9.0,
    deviation: float = 0.5,
    operations: Sequence[str] = tuple(OPERATIONS),
) -> Array:
    """`x` [T] after `n` operations, each drawn with equal chance; the same state, the same sound.

    Args:
        x: waveform.
        sample_rate: [Hz]
        random: what is drawn from.
        n: operations in a row.
        magnitude: 0 to 10; 0 changes nothing.
        deviation: of the magnitude from one operation to the next.
        operations: keys of OPERATIONS.

    Raises:
        ValueError: a magnitude outside 0 to 10, or no such operation.
    """
    if not 0 <= magnitude <= MOST:
        raise ValueError(f"magnitude={magnitude}: expected 0 to {MOST:g}")
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown or not operations:
        raise ValueError(f"operations={list(operations)}: expected some of {', '.join(OPERATIONS)}")
    if magnitude == 0:
        return x
    for _ in range(n):
        name = operations[int(random.integers(len(operations)))]
        drawn = min(max(random.normal(magnitude, deviation), 0.0), MOST)
        x = OPERATIONS[name](x, sample_rate, drawn / MOST, random)
    return x
