"""Enroll a speaker: from recordings of a voice to the embedding that stands for it.

A frame is voiced by Kaldi's rule: its log energy, of 16-bit samples, lies above 5.5 plus half the
mean log energy of the recording. A recording with less than half a second of voice is refused, and
one bad recording refuses the whole: a wrong voice is worse than no voice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import hub, io
from .given import Array, mono, need_full_scale

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..frontends import Embedding

LEAST_SECONDS = 0.5  # of voice, where the front-end does not say [s]
CLIPPED = 0.999  # of full scale
ENOUGH = 3.0  # of voice, below which a vector is told to be doubtful [s]
TOO_MANY = 0.01  # share of samples at full scale, above which it is, too
TOO_THIN = -15.0  # bass below which it is, too [dB]: what has lost all below 300 Hz mostly has less
BASS, MIDDLE = (80.0, 240.0), (400.0, 1600.0)  # [Hz]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What one recording is worth.

    Attributes:
        file: its name, or "" for an array.
        seconds: duration [s].
        voiced: of it with voice [s].
        level: of the voice [dB of full scale, RMS].
        clipping: share of samples at full scale.
        bass: level from 80 to 240 Hz beside that from 400 to 1600 Hz [dB].
        similarity: cosine between its vector and the mean of the other recordings' vectors; None
            where there is no other.
    """

    file: str
    seconds: float
    voiced: float
    level: float
    clipping: float
    bass: float
    similarity: float | None = None


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """A speaker's embedding, and what its recordings are worth."""

    embedding: Embedding
    recordings: tuple[Quality, ...]

    def doubts(self) -> str:
        """Why the vector may stand for nobody, "" where nothing speaks against it."""
        found = []
        voiced = sum(one.voiced for one in self.recordings)
        if voiced < ENOUGH:
            found.append(f"{voiced:.1f} s of voice in all, expected {ENOUGH:g} or more")
        for one in self.recordings:
            if one.clipping > TOO_MANY:
                found.append(f"{one.file or 'a recording'} is clipped ({one.clipping:.1%})")
            if one.bass < TOO_THIN:
                found.append(
                    f"{one.file or 'a recording'} has no bass ({one.bass:.0f} dB), as if it came "
                    "by telephone: the voice may be missed where it has"
                )
        return "; ".join(found)


def enroll(
    recordings: Sequence[Any],
    sample_rate: int,
    *,
    model: str | Path | nn.Module,
    pooling: str | None = None,
) -> Enrollment:
    """Enroll a speaker from arrays.

    Args:
        recordings: each [T] or [C, T] of floats, full scale is 1; channels are averaged.
        sample_rate: of all of them [Hz].
        model: an extractor or a speaker front-end, or its name or folder.
        pooling: how several recordings become one vector. "statistics": as if they were one long
            recording, for i-vectors alone and their default; "vectors": the mean of their vectors.

    Raises:
        ValueError: the model has no speaker front-end, or a recording is silent, too short or
            not sound.
    """
    named = [("", np.asarray(x), sample_rate) for x in recordings]
    return _enroll(named, speaker_of(model), pooling)


def enroll_files(
    paths: Sequence[str | Path],
    *,
    model: str | Path | nn.Module,
    pooling: str | None = None,
) -> Enrollment:
    """Enroll a speaker from files; for the rest see `enroll`.

    Args:
        paths: audio files of one speaker.
        model: see `enroll`.
        pooling: see `enroll`.

    Raises:
        ValueError: see `enroll`; the file is named.
    """
    speaker = speaker_of(model)
    return _enroll([(str(path), *io.read(path)) for path in paths], speaker, pooling)


def speaker_of(model: str | Path | nn.Module) -> Any:
    """The speaker front-end of an extractor, or the front-end itself, in evaluation mode.

    Raises:
        ValueError: there is none.
    """
    net: Any = hub.load(model) if isinstance(model, str | Path) else model
    task = getattr(net, "task", "")
    speaker = net if task == "speaker" else getattr(net, "speaker", None)
    if speaker is None:
        what = "an extractor that takes vectors from elsewhere" if task == "extraction" else task
        raise ValueError(
            f"{model if isinstance(model, str | Path) else type(net).__name__} is for "
            f"{what or 'something else'}: expected an extractor with a speaker front-end, or a "
            "folder that `sepaudio prepare ivector` wrote"
        )
    return speaker.eval()


def _enroll(
    named: Sequence[tuple[str, NDArray[Any], int]], speaker: Any, pooling: str | None
) -> Enrollment:
    import torch

    from ..frontends import Embedding, IVector, fingerprint

    if not named:
        raise ValueError("no recording of the speaker: expected at least one")
    ivector = isinstance(speaker, IVector)
    pooling = pooling or ("statistics" if ivector else "vectors")
    if pooling == "statistics" and not ivector:
        raise ValueError(
            f"pooling='statistics' with a {type(speaker).__name__}: only i-vectors have "
            "statistics; use 'vectors'"
        )
    rate, sounds, heard = int(speaker.sample_rate), [], []
    like = next(iter(speaker.buffers()))
    for number, (name, x, own_rate) in enumerate(named, start=1):
        which = name or f"recording {number} of {len(named)}"
        one = mono(x, which)
        try:
            need_full_scale(one, 0.0)
        except ValueError as error:
            raise ValueError(f"{which}: {error}") from error
        sound = torch.from_numpy(io.resample(one, own_rate, rate)).to(like)
        heard.append(_quality(which, name, one, own_rate, sound, speaker))
        sounds.append(sound)
    with torch.no_grad():
        each = torch.cat([speaker(sound[None]) for sound in sounds])
        vectors = speaker.together(sounds, pooling) if ivector else each.mean(dim=0, keepdim=True)
    made = Embedding(vectors, fingerprint(speaker))
    similar = _similarities(each)
    return Enrollment(
        embedding=made,
        recordings=tuple(
            Quality(**{**vars(quality), "similarity": value})
            for quality, value in zip(heard, similar, strict=True)
        ),
    )


def _quality(which: str, name: str, x: Array, rate: int, sound: Tensor, speaker: Any) -> Quality:
    """Measure a recording, and refuse it where a vector would stand for nothing."""
    hop, voiced = _voiced(sound, speaker)
    seconds = float(voiced.sum()) * hop / speaker.sample_rate
    least = getattr(speaker.cfg, "least_seconds", LEAST_SECONDS)
    if seconds < least:
        raise ValueError(
            f"{which} holds {seconds:.2f} s of voice in {len(x) / rate:.2f} s: expected at least "
            f"{least:g} s; record the speaker for longer, or louder"
        )
    spoken = sound[voiced.repeat_interleave(hop)[: len(sound)].nonzero()[:, 0]]
    return Quality(
        file=name,
        seconds=len(x) / rate,
        voiced=seconds,
        level=10 * math.log10(max(spoken.double().square().mean().item(), 1e-20)),
        clipping=float((np.abs(x) >= CLIPPED).mean()),
        bass=_bass(sound, int(speaker.sample_rate)),
    )


def _bass(sound: Tensor, rate: int) -> float:
    """See `Quality`; of a recording [T]."""
    import torch

    power = torch.fft.rfft(sound.double()).abs().square()
    hz = torch.linspace(0, rate / 2, len(power))
    low, middle = (float(power[(hz >= a) & (hz <= b)].sum()) for a, b in (BASS, MIDDLE))
    return 10 * math.log10(max(low, 1e-20) / max(middle, 1e-20))


def _voiced(sound: Tensor, speaker: Any) -> tuple[int, Tensor]:
    """Hop [samples] and which frames of a recording [T] are voiced [L]."""
    from ..frontends import IVector, KaldiCfg, KaldiMFCC, voiced_frames

    if isinstance(speaker, IVector):
        return speaker.mfcc.hop, speaker.features(sound[None])[1][0]
    rate = int(speaker.sample_rate)
    length = round(0.025 * rate)
    energy_only = KaldiCfg(
        sample_rate=rate,
        n_fft=2 ** math.ceil(math.log2(length)),
        window_length=length,
        hop=round(0.01 * rate),
        n_mels=2,
        n_mfcc=2,
        f_max=rate / 2,
    )
    mfcc = KaldiMFCC(energy_only).to(sound)
    return mfcc.hop, voiced_frames(mfcc(sound[None])[:, 0])[0]


def _similarities(vectors: Tensor) -> list[float | None]:
    """Cosine of each vector [K, E] with the mean of the others."""
    import torch.nn.functional as F

    if len(vectors) < 2:
        return [None]
    unit = F.normalize(vectors.double(), dim=-1)
    others = F.normalize(unit.sum(dim=0) - unit, dim=-1)
    return [float(value) for value in (unit * others).sum(dim=-1)]
