"""Mixtures made many at once in torch, on the device that learns from them, of the same draws.

Processes draw ahead and pack what they drew into one tensor (`Batched.drawn`), as each that is
received takes time of the process that learns; it goes to the device, where the samples of all
recordings lie already, and becomes a batch there (`__call__`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .mixdown import CEILING, Drawn, Shelves, Stretch
from .mixing import BEDS, Mixer
from .render import voices
from .resampling import kernel_of, resample
from .shelf import Shelf

Packed: TypeAlias = dict[str, Any]  # tensors and plain numbers
ALIGNED = 8  # bytes that every array begins at a multiple of
CHUNK = 1 << 26  # samples copied to a device at once


class Batched:
    """A mixer whose mixtures are made many at once, wherever their draws are put.

    The samples of its shelves are copied to a device once, as 16-bit numbers: 2 bytes a sample, so
    5.8 GB for 100 h at 8 kHz. A mixture is the one that `Mixer.item` gives, to 1e-5 of its peak;
    where someone is in a room to 90 dB; where something is resampled to 40 dB, for white noise, the
    worst case, and to some 70 dB for speech, since `resample` makes its first samples differently.
    What else is in a batch only changes how sums are rounded.

    Attributes:
        mixer: draws.
        shelves: all that is drawn from, by kind.
    """

    def __init__(self, mixer: Mixer):
        self.mixer, self.shelves = mixer, mixer.shelves
        self._samples: dict[torch.device, dict[str, Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process is sent: it draws, so it needs nothing that lies on a device."""
        return {**self.__dict__, "_samples": {}}

    @property
    def bytes(self) -> int:
        """What the samples take on a device."""
        return 2 * sum(len(shelf.samples) for shelf in self._copied.values())

    def drawn(self, seed: int, epoch: int, numbers: Iterable[int]) -> Packed:
        """Draw the mixtures of these numbers and pack them; on the CPU, as workers do."""
        return pack([self.mixer.draw(seed, epoch, i) for i in numbers], self.shelves)

    def __call__(self, packed: Packed) -> dict[str, Tensor]:
        """Make what was drawn, on the device of its tensors: a batch as of `dataset.collate`."""
        device = packed["bytes"].device
        samples = self._on(device)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return _made(packed, samples)

    def _on(self, device: torch.device) -> dict[str, Tensor]:
        if device not in self._samples:
            copied = {kind: _copy(shelf, device) for kind, shelf in self._copied.items()}
            self._samples[device] = copied
        return self._samples[device]

    @property
    def _copied(self) -> dict[str, Shelf]:
        """Every shelf but the rooms', whose responses come with the draws."""
        return {kind: shelf for kind, shelf in self.shelves.items() if kind != "rir"}


def _copy(shelf: Shelf, device: torch.device) -> Tensor:
    if device.type == "cpu":  # not copied but shared
        return torch.from_numpy(shelf.samples)
    samples = torch.empty(len(shelf.samples), dtype=torch.int16, device=device)
    for first in range(0, len(samples), CHUNK):
        part = np.array(shelf.samples[first : first + CHUNK])
        samples[first : first + CHUNK] = torch.from_numpy(part)
    return samples


def to(packed: Packed, device: torch.device) -> Packed:
    """Packed draws, or a batch, on a device."""
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in packed.items()}


def pack(drawn: Sequence[Drawn], shelves: Shelves) -> Packed:
    """What was drawn for B mixtures of at most S speakers as the bytes of one tensor.

    Stretches are numbered by slots: of mixture b the speakers have b * (S + 1) and what follows,
    the last is its enrollment. They are sorted by speed; a group of one speed is two rates, the
    numbers of its first stretch and of the one after its last, and the most samples that any of
    it reads and lasts.
    """
    speech, n_slots = shelves["speech"], max(len(one.parts) for one in drawn) + 1
    placed = [(b * n_slots + s, x) for b, one in enumerate(drawn) for s, x in enumerate(one.parts)]
    placed += [
        (b * n_slots + n_slots - 1, one.enrollment) for b, one in enumerate(drawn) if one.enrollment
    ]
    placed.sort(key=lambda pair: (pair[1].speed, pair[0]))
    heard = np.zeros((len(drawn), n_slots), np.int64)
    heard.flat[[slot for slot, _ in placed]] = [x.heard for _, x in placed]
    rows = [x.row for _, x in placed]
    packed = {
        "slot": np.array([slot for slot, _ in placed]),
        "begin": speech.starts[rows] + [x.start for _, x in placed],
        "read": np.array([x.n for _, x in placed]),
        "scale": speech.scales[rows],
        "heard": heard,
        "lengths": np.array([one.length for one in drawn]),
        "offsets": _padded([one.offsets for one in drawn], n_slots - 1, np.int64),
        "sir_db": _padded([(0.0, *one.sir_db) for one in drawn], n_slots - 1, np.float64),
        "level_db": np.array([one.level_db for one in drawn]),
        "enrollment_db": np.array([one.enrollment_db for one in drawn]),
        "n_src": np.array([len(one.parts) for one in drawn]),
        "target": np.array([one.target for one in drawn]),
        "voices": _padded(
            [voices(one.speakers, [x.speed for x in one.parts]) for one in drawn],
            n_slots - 1,
            np.int64,
        ),
        **_packed_rooms(drawn, n_slots, shelves),
    }
    for kind in BEDS:
        packed |= _packed_beds(kind, drawn, shelves)
    return {
        "groups": _groups([x for _, x in placed], speech.sample_rate),
        "most": [int(heard.max()), int(heard[:, -1].max()), max(one.length for one in drawn)],
        "least": min(one.length for one in drawn),
        **_joined(packed),
    }


def _joined(arrays: dict[str, NDArray[Any]]) -> Packed:
    """The bytes of all arrays [N], and what lies where: name, type, shape, first byte."""
    layout, pieces, at = [], [], 0
    for key, x in arrays.items():
        size = -(-x.nbytes // ALIGNED) * ALIGNED
        layout.append((key, str(x.dtype), x.shape, at))
        pieces.append(np.zeros(size, np.uint8))
        pieces[-1][: x.nbytes] = np.ascontiguousarray(x).view(np.uint8).reshape(-1)
        at += size
    return {"bytes": torch.from_numpy(np.concatenate(pieces)), "layout": layout}


def _apart(packed: Packed) -> Packed:
    """What `_joined` joined, where its bytes lie now, beside the plain numbers."""
    whole, parts = packed["bytes"], {}
    for key, kind, shape, at in packed["layout"]:
        dtype = getattr(torch, kind)
        n = math.prod(shape) * dtype.itemsize
        parts[key] = whole[at : at + n].view(dtype).view(shape)
    return {**packed, **parts}


def even(packed: Packed) -> bool:
    """Whether all mixtures of packed draws are as long, so that none is padded."""
    return bool(packed["least"] == packed["most"][2])


def _padded(rows: Sequence[Sequence[float]], n: int, dtype: Any) -> NDArray[Any]:
    return np.array([[*row, *[0] * (n - len(row))] for row in rows], dtype)


def _groups(stretches: Sequence[Stretch], rate: int) -> list[list[int]]:
    groups, first = [], 0
    for speed, some in groupby(stretches, key=lambda x: x.speed):
        here = list(some)
        own = rate if speed == 1 else round(rate * speed)
        longest = [max(x.n for x in here), max(x.heard for x in here)]
        groups.append([own, rate, first, first + len(here), *longest])
        first += len(here)
    return groups


def _packed_rooms(drawn: Sequence[Drawn], n_slots: int, shelves: Shelves) -> Packed:
    """Slots of the speakers in rooms, and the responses from their direct sound on [R, T]."""
    slots, responses = [], []
    for b, one in enumerate(drawn):
        for s, room in enumerate(one.rooms):
            h = shelves["rir"].take(room) if isinstance(room, int) else room
            slots.append(b * n_slots + s)
            responses.append(h[int(np.abs(h).argmax()) :])
    most = max((len(h) for h in responses), default=0)
    padded = np.zeros((len(responses), most), np.float32)
    for row, h in zip(padded, responses, strict=True):
        row[: len(h)] = h
    return {"rooms": np.array(slots, np.int64), "responses": padded}


def _packed_beds(kind: str, drawn: Sequence[Drawn], shelves: Shelves) -> Packed:
    """Of every bed of a kind: mixture, first sample of its recording, length and start in it."""
    under = [(b, bed) for b, one in enumerate(drawn) for bed in one.beds if bed.kind == kind]
    if not under:
        return {}
    shelf, rows = shelves[kind], [bed.row for _, bed in under]
    where = [[b, int(shelf.starts[bed.row]), shelf.length(bed.row), bed.start] for b, bed in under]
    return {
        kind: np.array(where, np.int64),
        f"{kind}_scale": shelf.scales[rows],
        f"{kind}_db": np.array([bed.snr_db for _, bed in under]),
    }


def _made(packed: Packed, samples: dict[str, Tensor]) -> dict[str, Tensor]:
    """The steps of `mixdown`, for all mixtures of a batch."""
    packed = _apart(packed)
    longest, enrolled, most = packed["most"]
    lengths, heard = packed["lengths"], packed["heard"]
    x = _stretches(packed, samples["speech"], longest)
    if len(packed["rooms"]):
        _reverberate(x, packed)
    x = x.view(*heard.shape, longest)
    sources = _together(x[:, :-1], packed, most)
    mixture = sources.sum(1)
    level = _rms(mixture, lengths).clamp_min(1e-9)
    for kind in BEDS:
        if kind in packed:
            under = packed[kind][:, 0]
            bed = _beds(packed[kind], packed[f"{kind}_scale"], samples[kind], lengths, most)
            wanted = level[under] * _ratio(-packed[f"{kind}_db"])
            gain = wanted / _rms(bed, lengths[under]).clamp_min(1e-6)
            mixture[under] += bed * gain[:, None].float()
    peak = torch.maximum(mixture.abs().amax(1), sources.abs().amax((1, 2))).clamp_min(1e-9)
    scale = _ratio(packed["level_db"]) / _rms(mixture, lengths).clamp_min(1e-9)
    scale = torch.minimum(scale, CEILING / peak.double()).float()
    enrollment, n = x[:, -1, :enrolled], heard[:, -1]
    if enrolled:
        gain = _ratio(packed["enrollment_db"]) / _rms(enrollment, n).clamp_min(1e-6)
        enrollment = enrollment * gain[:, None].float()
        loudest = enrollment.abs().amax(1, keepdim=True).clamp_min(1e-9)
        enrollment = enrollment * (CEILING / loudest).clamp_max(1.0)
    return {
        "mixture": mixture * scale[:, None],
        "sources": sources * scale[:, None, None],
        "lengths": lengths,
        "n_src": packed["n_src"],
        "target": packed["target"],
        "voices": packed["voices"],
        "enrollment": enrollment,
        "enrollment_lengths": n,
    }


def _stretches(packed: Packed, speech: Tensor, longest: int) -> Tensor:
    """Every stretch as it is played, in its slot [B * (S + 1), T]; the rest is silence."""
    heard = packed["heard"].flatten()
    x = torch.zeros(len(heard), longest, device=heard.device)
    for own, rate, first, last, most, lasts in packed["groups"]:
        some = slice(first, last)
        t = torch.arange(most, device=heard.device)
        at = (packed["begin"][some, None] + t).clamp_max_(len(speech) - 1)
        y = speech[at] * packed["scale"][some, None]
        y = y.masked_fill_(t >= packed["read"][some, None], 0)
        slot = packed["slot"][some]
        if own != rate:
            y = resample(y, kernel_of(own, rate, y.device), lasts)
            t = torch.arange(lasts, device=heard.device)
            y = y.masked_fill_(t >= heard[slot, None], 0)
        x[slot, :lasts] = y
    return x


def _reverberate(x: Tensor, packed: Packed) -> None:
    """Put the speakers in rooms into them; their level is kept."""
    slots, responses = packed["rooms"], packed["responses"]
    n = packed["heard"].flatten()[slots]
    dry = x[slots]
    size = _fast(dry.shape[1] + responses.shape[1] - 1)
    spec = torch.fft.rfft(dry, size) * torch.fft.rfft(responses, size)
    wet = torch.fft.irfft(spec, size)[:, : dry.shape[1]]
    wet = wet.masked_fill(torch.arange(wet.shape[1], device=x.device) >= n[:, None], 0)
    gain = _rms(dry, n) / _rms(wet, n).clamp_min(1e-9)
    x[slots] = wet * gain[:, None].float()


def _together(parts: Tensor, packed: Packed, most: int) -> Tensor:
    """Parts [B, S, t] -> sources [B, S, T] where they begin, the others relative to the first."""
    lengths = packed["lengths"][:, None]
    n = torch.minimum(packed["heard"][:, :-1], lengths)
    t = torch.arange(parts.shape[2], device=parts.device)
    level = _rms(parts * (t < n[..., None]), n).clamp_min(1e-9)
    gain = level[:, :1] / level * _ratio(-packed["sir_db"])
    t = torch.arange(most, device=parts.device) - packed["offsets"][..., None]
    heard = (t >= 0) & (t < n[..., None])
    sources = parts.gather(2, t.clamp_(0, parts.shape[2] - 1))
    sources *= gain[..., None].float() * heard
    return sources


def _beds(where: Tensor, scale: Tensor, samples: Tensor, lengths: Tensor, most: int) -> Tensor:
    """Recordings that begin anew where they end [K, T], as long as their mixtures."""
    mixture, begin, size, start = where[:, :, None].unbind(1)
    t = torch.arange(most, device=where.device)
    bed = samples[begin + (start + t) % size] * scale[:, None]
    return bed.masked_fill_(t >= lengths[mixture], 0)


def _rms(x: Tensor, n: Tensor) -> Tensor:
    """Root mean square over the first n [...] of [..., T], which is zero beyond them."""
    power = x.square().sum(-1, dtype=torch.float64) / n.clamp_min(1)
    return torch.sqrt(power + 1e-20)


def _ratio(db: Tensor) -> Tensor:
    return torch.pow(10.0, db.double() / 20)


def _fast(n: int) -> int:
    """A length of FFT that is no shorter, a multiple of powers of two, three and five."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(n, real=True))
