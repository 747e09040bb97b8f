"""Clips of one length to learn from: what is done to their samples, and how two are mixed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .augment import Array, Random, rms
from .folds import RULES
from .randaugment import MOST, rand_augment
from .shelf import check_on_bad

PAUSE_DB = 40.0  # below the loudest window: nothing to judge by
LONGER = 1.25  # so many windows make more than one


@dataclass(frozen=True, kw_only=True)
class ClipAugmentCfg:
    """What a clip goes through before it is learned from, in this order; the default is nothing.

    Attributes:
        reverse: share that runs backwards.
        stretch: speed and pitch change by a factor stretch^u, u even from -1 to 1; 1 for none.
        place: where a clip of another length is cut or put: "random", or "centre" as in judging.
        fill: beside it: "silence", or "hold" for its first and its last sample.
        roll: share whose end comes round to the front, from a random moment on.
        gain_db: level changes by as much, up or down [dB].
        operations: of RandAugment, so many on every clip; 0 for none.
        magnitude: of these, see `randaugment.rand_augment`.
        mixup: share of two clips in a mixture is drawn from Beta(mixup, mixup); 0 for no mixing.
        mixed: share of clips that are mixed.
        boxes: blanked stretches of time and of frequency, as many of each.
        box_time: longest one, as a share of the clip.
        box_band: widest one, as a share of the spectrum.
        copies: of each clip, each drawn anew, of which the one that is understood worst is learned
            from (MaxUp); time and memory of a step are as many times as much.
        cutmix: share of batches whose pictures each show a box of another one of the batch, see
            `cutmix.cutmix`.
    """

    reverse: float = 0.0
    stretch: float = 1.0
    place: str = "centre"
    fill: str = "silence"
    roll: float = 0.0
    gain_db: float = 0.0
    operations: int = 0
    magnitude: float = 5.0
    mixup: float = 0.0
    mixed: float = 1.0
    boxes: int = 0
    box_time: float = 0.2
    box_band: float = 0.2
    copies: int = 1
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("place", ("centre", "random")), ("fill", ("silence", "hold"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        if self.stretch < 1 or self.copies < 1:
            raise ValueError(
                f"stretch={self.stretch}, copies={self.copies}: expected 1 or more of both"
            )
        for name in ("mixup", "gain_db", "operations", "boxes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")
        if not 0 <= self.magnitude <= MOST:
            raise ValueError(f"magnitude={self.magnitude}: expected 0 to {MOST:g}")
        for name in ("reverse", "roll", "mixed", "box_time", "box_band", "cutmix"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected a share from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class ClipsCfg:
    """Where clips come from, which of them judge, and what is made of the others.

    Attributes:
        manifests: CSV files, relative to the recipe.
        refused_licenses: parts of licence names; recordings with one are not trained on.
        fold: the fold that is left out and tests; 0 where the manifests' splits say it.
        valid_fold: another one that is left out: it picks the best step and the temperature.
        folds: "official", or "shuffled": dealt by chance, which makes figures too good.
        shelf: folder of the decoded recordings, made when it is not there; relative to the
            working folder.
        on_bad: "stop" at a recording that cannot be read, or "skip" it.
        augment: what clips go through.
    """

    manifests: tuple[str, ...] = ()
    refused_licenses: tuple[str, ...] = ("NC", "ND", "GPL", "LGPL", "GFDL", "Sampling")
    fold: int = 0
    valid_fold: int = 0
    folds: str = "official"
    shelf: str = "runs/shelf"
    on_bad: str = "stop"
    augment: ClipAugmentCfg = field(default_factory=ClipAugmentCfg)

    def __post_init__(self) -> None:
        check_on_bad(self.on_bad)
        if self.folds not in RULES:
            raise ValueError(f"folds={self.folds!r}: expected one of {', '.join(RULES)}")


def varied(
    x: Array, n: int, cfg: ClipAugmentCfg, random: Random, sample_rate: int = 16000
) -> Array:
    """A clip [T] as it is heard once: [n]. Every draw is made, whatever the cfg, but RandAugment's.

    `sample_rate` [Hz] matters to RandAugment alone.
    """
    backwards, speed, turn, level = random.random(4)
    if backwards < cfg.reverse:
        x = x[::-1]
    wanted = round(n / cfg.stretch ** (2 * speed - 1))  # cut first: nothing is stretched in vain
    x = placed(x, wanted, cfg.fill, random if cfg.place == "random" else None)
    x = stretched(x, n)
    if turn < cfg.roll:
        x = np.roll(x, int(random.integers(n)))
    x = np.asarray(x * 10 ** (cfg.gain_db * (2 * level - 1) / 20), np.float32)
    if cfg.operations:
        x = rand_augment(x, sample_rate, random, n=cfg.operations, magnitude=cfg.magnitude)
    return x


def stretched(x: Array, n: int) -> Array:
    """x [T] -> [n], straight lines between samples: tempo and pitch change together."""
    if n == len(x):
        return x
    at = np.linspace(0, len(x) - 1, n)
    return np.asarray(np.interp(at, np.arange(len(x)), x), np.float32)


def placed(x: Array, n: int, fill: str = "silence", random: Random | None = None) -> Array:
    """x [T] cut to n samples, or with something beside it up to n.

    By chance, a stretch that is much quieter than the clip gives way to the clip's beginning, or
    its end.

    Args:
        x: the clip.
        n: samples wanted.
        fill: "silence", or "hold": the first and the last sample go on.
        random: decides where; the middle when None.

    Source: Guzhov et al. 2020 (2004.07301), as in the first author's code: padding holds the
    edges, and a stretch counts as quiet below half of the clip's deviation.
    """
    if len(x) < n:
        before = (n - len(x)) // 2 if random is None else int(random.integers(n - len(x) + 1))
        mode = {"silence": "constant", "hold": "edge"}[fill]
        return np.pad(x, (before, n - len(x) - before), mode=mode)  # type: ignore[call-overload, no-any-return]
    if random is None:
        start = (len(x) - n) // 2
        return x[start : start + n]
    start = int(random.integers(len(x) - n + 1))
    least = x.std() / 2
    if x[start : start + n].std() < least:
        start = (
            0 if x[:n].std() >= least else max((0, len(x) - n), key=lambda s: x[s : s + n].std())
        )
    return x[start : start + n]


def windows(x: Array, n: int, fill: str = "silence") -> list[Array]:
    """The parts of x [T] by which it is judged, n samples each.

    The middle, filled up, of what is hardly longer than n; of more, windows that overlap by half,
    without those that are `PAUSE_DB` quieter than the loudest.
    """
    if len(x) < LONGER * n:
        return [placed(x, n, fill)]
    starts = np.linspace(0, len(x) - n, -(-2 * len(x) // n) - 1).round().astype(int)
    cut = [x[start : start + n] for start in starts]
    least = max(map(rms, cut)) * 10 ** (-PAUSE_DB / 20)
    return [part for part in cut if rms(part) >= least]


def mixture(x: Array, other: Array, share: float) -> Array:
    """Two clips [T] at once; `share` is that of x in what is heard, their own levels set aside.

    Source: Tokozume et al. 2018 (1711.10282), eq. 2 and 3, with the RMS level in the place of the
    A-weighted one.
    """
    if share in (0.0, 1.0):
        return x if share else other
    p = 1 / (1 + rms(x) / rms(other) * (1 - share) / share)
    return np.asarray((p * x + (1 - p) * other) / np.hypot(p, 1 - p), np.float32)
