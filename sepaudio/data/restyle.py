"""A recording as if its speaker had spoken in another manner, into another microphone.

Who is calm in one recording and excited in the next has another pitch and another spectral slope
there, but the same vocal tract: formants stay where they are.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch

from .. import io
from .augment import Array, equalise
from .manifest import Recording

PITCH = (0.75, 1.4)  # lowest and highest ratio to the pitch of before
RESPONSE = 12.0  # most that the frequency response changes in either direction [dB]
FRAME = 0.064  # [s]
QUEFRENCY = 0.0015  # [s] what varies more slowly over frequency is of the vocal tract
MOST = 30.0  # a frequency is raised or lowered by no more [dB]


def restyled(x: Array, sample_rate: int, row: Recording) -> Array:
    """A recording in the manner that its row asks for, the same every time; 0 is as it is.

    It becomes shorter by as much as its pitch rises, as excited speech is.

    Args:
        x: [T]
        sample_rate: [Hz]
        row: its `manner` is another manner for every other number.
    """
    if not row.manner:
        return x
    name = f"{row.manner}|{row.path.name}|{row.start}".encode()
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:8], "big"))
    low, high = (math.log(ratio) for ratio in PITCH)
    y = at_pitch(x, sample_rate, math.exp(random.uniform(low, high)))
    return equalise(y, sample_rate, RESPONSE, random)


def at_pitch(x: Array, sample_rate: int, ratio: float) -> Array:
    """x [T] at another pitch, with its formants, [T / ratio].

    It is played faster or slower, and each frame then given back its spectral envelope, which is
    what is left of its log spectrum when only the first milliseconds of its cepstrum are kept.

    Args:
        x: [T]
        sample_rate: [Hz]
        ratio: of the new pitch to the old one.
    """
    y = torch.from_numpy(io.resample(x, round(sample_rate * ratio), sample_rate))
    size = 1 << max(round(math.log2(FRAME * sample_rate)), 4)
    how: Any = {"n_fft": size, "hop_length": size // 4, "window": torch.hann_window(size)}
    spec = torch.stft(y, **how, return_complex=True, pad_mode="constant")
    log = spec.abs().clamp_min(1e-7).log().T
    cepstrum = torch.fft.irfft(log, size)
    kept = round(QUEFRENCY * sample_rate)
    cepstrum[:, kept + 1 : size - kept] = 0
    envelope = torch.fft.rfft(cepstrum, size).real
    # played faster, all lies `ratio` times as high: what belongs here is found there
    at = (torch.arange(size // 2 + 1) * ratio).clamp_max(size // 2)
    below = at.long().clamp_max(size // 2 - 1)
    share = at - below
    wanted = envelope[:, below] * (1 - share) + envelope[:, below + 1] * share
    most = MOST * math.log(10) / 20
    gain = (wanted - envelope).clamp(-most, most).exp()
    z: Array = torch.istft(spec * gain.T, **how, length=len(y)).numpy()
    return z
