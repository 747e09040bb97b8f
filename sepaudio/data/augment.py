"""What a recording goes through before it is heard: rooms, noise, telephones, codecs, levels.

All functions take and give mono float32 arrays [T] at one rate and draw from the generator that
they are handed, so that a draw is a pure function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import io

Array = NDArray[np.float32]
Random = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class AugmentCfg:
    """How often (0 to 1) and how hard; every class goes through the same chain.

    Attributes:
        reverb: share that is heard in a room.
        equalise: share with another frequency response, up to `tilt_db` in either direction.
        tilt_db: [dB]
        narrow: share that is band-limited, with a random cutoff from `cutoff` [Hz].
        cutoff: lowest and highest edge [Hz].
        code: share that passes a codec or a round trip through another sample rate.
        telephone: share of `code` that is a telephone's: 300 to 3400 Hz at 8 kHz.
        level_db: RMS levels that a recording may be set to [dB of full scale].
        clip: share that is overdriven.
        hiss: share with a noise floor, at `hiss_db` under the recording [dB].
        hiss_db: least and most.
    """

    reverb: float = 0.25
    equalise: float = 0.4
    tilt_db: float = 12.0
    narrow: float = 0.85
    cutoff: tuple[float, float] = (2500.0, 7900.0)
    code: float = 0.4
    telephone: float = 0.3
    level_db: tuple[float, float] = (-50.0, -10.0)
    clip: float = 0.04
    hiss: float = 0.35
    hiss_db: tuple[float, float] = (20.0, 60.0)


# container, subtype, sample rates the codec takes [Hz]
CODECS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("MP3", "MPEG_LAYER_III", (16000, 22050, 32000, 44100)),
    ("OGG", "VORBIS", (16000, 22050, 44100)),
    ("OGG", "OPUS", (8000, 16000, 48000)),
    ("WAV", "IMA_ADPCM", (8000, 16000, 22050)),
    ("WAV", "ULAW", (8000, 16000)),
    ("FLAC", "PCM_16", (8000, 11025, 12000, 16000, 22050, 44100)),
)
TELEPHONE: tuple[tuple[str, str], ...] = (
    ("WAV", "GSM610"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)


def rms(x: Array) -> float:
    """Root mean square of [T]."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-20))


def at_level(x: Array, level_db: float) -> Array:
    """x scaled to an RMS level [dB of full scale]; silence stays silence."""
    return (x * (10 ** (level_db / 20) / max(rms(x), 1e-6))).astype(np.float32)


def add(x: Array, other: Array, snr_db: float) -> Array:
    """x with `other` [T] laid under it, `snr_db` weaker."""
    gain = rms(x) / max(rms(other), 1e-6) * 10 ** (-snr_db / 20)
    return (x + gain * other).astype(np.float32)


def shape_spectrum(x: Array, sample_rate: int, anchors: Array, gains_db: Array) -> Array:
    """x with gains [dB] at anchor frequencies [Hz], straight lines over log frequency between."""
    n = 1 << (len(x) + sample_rate // 4 - 1).bit_length()
    spec = np.fft.rfft(x, n)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), 1.0)
    gain = 10 ** (np.interp(np.log(hz), np.log(anchors), gains_db) / 20)
    return np.fft.irfft(spec * gain)[: len(x)].astype(np.float32)


def equalise(x: Array, sample_rate: int, most_db: float, random: Random) -> Array:
    """A random smooth frequency response."""
    anchors = np.geomspace(60, sample_rate / 2, 7).astype(np.float32)
    gains = random.uniform(-1, 1, len(anchors)) * random.uniform(0, most_db)
    return shape_spectrum(x, sample_rate, anchors, gains.astype(np.float32))


def band_edge(x: Array, sample_rate: int, drop_db: float = 50.0) -> float:
    """Highest frequency whose long-term power lies within `drop_db` of the strongest [Hz]."""
    n = 1024
    x = np.pad(x, (0, max(n - len(x), 0)))
    frames = x[: len(x) // n * n].reshape(-1, n) * np.hanning(n)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
    loud = np.flatnonzero(power > power.max() * 10 ** (-drop_db / 10))
    return float(loud[-1] * sample_rate / n) if len(loud) else 0.0


def low_pass(x: Array, sample_rate: int, cutoff: float, slope_db: float = 72.0) -> Array:
    """x without what lies above `cutoff` [Hz], falling by `slope_db` per octave."""
    edge = min(cutoff, sample_rate / 2 - 1)
    octaves = np.log2(sample_rate / 2 / edge)
    anchors = np.array([1.0, edge, sample_rate / 2], dtype=np.float32)
    return shape_spectrum(
        x, sample_rate, anchors, np.array([0, 0, -slope_db * octaves], dtype=np.float32)
    )


def telephone_band(x: Array, sample_rate: int) -> Array:
    """x as a telephone passes it: 300 to 3400 Hz."""
    anchors = np.array([50, 200, 300, 3400, 3900, sample_rate / 2], dtype=np.float32)
    gains = np.array([-60, -20, 0, 0, -40, -90], dtype=np.float32)
    return shape_spectrum(x, sample_rate, anchors, gains)


def round_trip(x: Array, sample_rate: int, cfg: AugmentCfg, random: Random) -> Array:
    """x through a random codec at a random rate and back, level kept, length kept."""
    peak = float(np.abs(x).max())
    if peak == 0:
        return x
    if random.random() < cfg.telephone:
        container, subtype = TELEPHONE[random.integers(len(TELEPHONE))]
        rate, x = 8000, telephone_band(x, sample_rate)
    else:
        container, subtype, rates = CODECS[random.integers(len(CODECS))]
        rate = int(random.choice(rates))
    scale = 0.8 / peak
    coded = io.resample((x * scale).clip(-1, 1).astype(np.float32), sample_rate, rate)
    quality = float(random.uniform(0.1, 0.95))  # libsndfile's compression level: 1 is smallest
    heard = io.resample(io.transcode(coded, rate, container, subtype, quality), rate, sample_rate)
    y = np.zeros_like(x)
    n = min(len(x), len(heard))
    y[:n] = heard[:n] / scale
    return y


def reverberate(x: Array, response: Array) -> Array:
    """x heard through a room's impulse response, started at its direct sound, level kept."""
    start = int(np.abs(response).argmax())
    h = response[start:]
    n = 1 << (len(x) + len(h) - 2).bit_length()  # a length that FFTs like
    wet = np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(h, n), n)[: len(x)]
    return (wet * (rms(x) / max(rms(wet.astype(np.float32)), 1e-9))).astype(np.float32)


def simulated_response(sample_rate: int, random: Random) -> Array:
    """A room as exponentially decaying noise behind a direct sound, T60 from 0.15 to 1.2 s."""
    t60 = float(np.exp(random.uniform(np.log(0.15), np.log(1.2))))
    n = int(t60 * sample_rate)
    tail = random.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    h = (tail / np.sqrt(np.sum(tail**2)) * 10 ** (-random.uniform(0, 12) / 20)).astype(np.float32)
    h[0] = 1.0
    return np.asarray(h)


def coloured_noise(n: int, random: Random) -> Array:
    """Noise [n] with a power of 1 / f^a, a from -0.5 (bright) to 2.2 (brown)."""
    half = (1 << (n - 1).bit_length()) // 2 + 1
    spec = random.standard_normal(half) + 1j * random.standard_normal(half)
    spec *= np.maximum(np.arange(half), 4) ** (-random.uniform(-0.5, 2.2) / 2)
    return np.fft.irfft(spec)[:n].astype(np.float32)


def machine_noise(n: int, sample_rate: int, random: Random) -> Array:
    """Noise [n] as wind, machines and engines make it: coloured, pulsed, resonant, unsteady."""
    x = coloured_noise(n, random)
    x /= rms(x)
    kind = random.integers(4)
    if kind == 1:  # clicks, drops, steps: at random or at a beat
        rate = np.exp(random.uniform(np.log(1.0), np.log(60.0)))  # [1/s]
        gaps = random.exponential(1, n) if random.random() < 0.5 else random.normal(1, 0.05, n)
        times = np.cumsum(np.abs(gaps[: int(n / sample_rate * rate) + 2]) * sample_rate / rate)
        pulses = np.zeros(n, np.float32)
        hit = times[times < n].astype(np.int64)
        pulses[hit] = random.uniform(0.2, 1, len(hit))
        x = 0.02 * x + _ring(pulses, sample_rate, random) * sample_rate**0.5
    elif kind == 2:  # an engine: a jittered pulse train through resonances
        rate = np.exp(random.uniform(np.log(12.0), np.log(150.0)))
        speed = rate * (1 + 0.05 * np.cumsum(random.standard_normal(n)) / np.sqrt(n))
        phase = np.cumsum(speed * (1 + 0.3 * random.standard_normal(n))) / sample_rate
        pulses = np.diff(np.floor(phase), prepend=0).clip(0, 1).astype(np.float32)
        engine = _ring(pulses, sample_rate, random)
        x = (x * random.uniform(0.02, 0.5) + engine / rms(engine)).astype(np.float32)
    if random.random() < 0.5:  # gusts
        knots = int(n / sample_rate * np.exp(random.uniform(np.log(0.5), np.log(12.0)))) + 2
        slow = np.interp(np.linspace(0, knots - 1, n), np.arange(knots), random.random(knots))
        x = (x * (random.uniform(0.02, 0.5) + slow)).astype(np.float32)
    return x


def _ring(pulses: Array, sample_rate: int, random: Random) -> Array:
    """Pulses heard through a few decaying resonances and a burst of noise."""
    t = np.arange(int(0.25 * sample_rate)) / sample_rate
    h = np.zeros(len(t))
    for _ in range(random.integers(1, 5)):
        hz = np.exp(random.uniform(np.log(60), np.log(0.45 * sample_rate)))
        decay = np.exp(random.uniform(np.log(0.002), np.log(0.08)))
        h += random.random() * np.sin(2 * np.pi * hz * t) * np.exp(-t / decay)
    burst = np.exp(-t / np.exp(random.uniform(np.log(0.002), np.log(0.05))))
    h += random.uniform(0, 1) * random.standard_normal(len(t)) * burst
    n = 1 << (len(pulses) + len(h) - 2).bit_length()
    return np.fft.irfft(np.fft.rfft(pulses, n) * np.fft.rfft(h, n), n)[: len(pulses)].astype(
        np.float32
    )


def degrade(
    x: Array, sample_rate: int, cfg: AugmentCfg, responses: Sequence[Array], random: Random
) -> Array:
    """x through room, response, noise floor, codec, overload, band limit and level, each by chance.

    The order is that of the world: the room, the microphone, the recorder, the line, the player.
    """
    if random.random() < cfg.reverb:
        real = len(responses) > 0 and random.random() < 0.5
        room = (
            responses[int(random.integers(len(responses)))]
            if real
            else simulated_response(sample_rate, random)
        )
        x = reverberate(x, room)
    if random.random() < cfg.equalise:
        x = equalise(x, sample_rate, cfg.tilt_db, random)
    if random.random() < cfg.hiss:
        x = add(x, coloured_noise(len(x), random), random.uniform(*cfg.hiss_db))
    if random.random() < cfg.code:
        x = round_trip(x, sample_rate, cfg, random)
    if random.random() < cfg.clip and (peak := float(np.abs(x).max())) > 0:
        limit = random.uniform(0.1, 0.5) * peak
        x = x.clip(-limit, limit)
    if random.random() < cfg.narrow:  # last, or the noise of codecs would fill the band again
        x = low_pass(x, sample_rate, random.uniform(*cfg.cutoff), random.uniform(24, 150))
    return at_level(x, random.uniform(*cfg.level_db))
