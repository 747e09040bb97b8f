"""Dynamic mixing: every mixture is a pure function of (seed, epoch, index).

Who speaks, which stretches, how loud, over what and in which room is drawn from a generator seeded
by these three, so the number of workers and the order of calls change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import manifest
from .augment import Array, Random, rms, simulated_response
from .manifest import Recording
from .mixdown import Bed, Drawn, Stretch, lasts, mixdown
from .render import Example
from .shelf import TRIES, Shelf, files_of, manners_of

BEDS = ("noise", "music")
Range = tuple[float, float]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MixingCfg:
    """What is mixed; shares are from 0 to 1, ranges are drawn from evenly.

    Levels: powers are means over what is heard of a recording, not over padding. At the end one
    common scale brings the mixture to `level_db`, or lower where a sample of the mixture or of a
    source would exceed 0.99: nothing clips, and the mixture stays the sum of its parts. The
    enrollment has a level of its own, since it is another recording.

    Attributes:
        sample_rate: [Hz].
        seconds: length of a mixture [s].
        enrollment_seconds: longest enrollment [s]; 0 for none.
        least_seconds: a shorter recording, or rest of one, is not used [s].
        n_src: fewest and most speakers.
        shares: of mixtures with each number of speakers from the fewest on; () for equal ones.
        sir_db: of the first speaker over each other one [dB].
        overlap: share of the mixture in which each other speaker is heard.
        absent: share of mixtures that lack the enrolled speaker.
        same_origin: share of mixtures whose speakers all come from the target's collection, where
            it has enough of them. Voices of one recording share its microphone and its room: those
            of two collections are easier told apart than any that meet.
        noise: share with noise. A speaker alone over neither noise nor music would leave nothing
            to do, so where either is given a lone speaker always has one.
        noise_db: of all speech over the noise [dB].
        music: share with music.
        music_db: of all speech over the music [dB].
        room: share in which every speaker is heard in a room.
        speeds: a speaker is played at one of these, the enrollment with its speaker.
        manners: share of enrollments whose speaker is heard in another manner there (`restyle`):
            who is excited in a mixture may have been calm, and before another microphone, when
            enrolled.
        mode: "max" pads shorter speakers with silence at either end, "min" cuts the mixture to
            the shortest.
        level_db: RMS levels of mixture and enrollment [dB of full scale].
        refused_licenses: as in `manifest.allowed`.
        refused_speakers: beginnings of names that stand for more than one person.
    """

    sample_rate: int = 8000
    seconds: float = 4.0
    enrollment_seconds: float = 4.0
    least_seconds: float = 1.0
    n_src: tuple[int, int] = (2, 2)
    shares: tuple[float, ...] = ()
    sir_db: Range = (-5.0, 5.0)
    overlap: Range = (1.0, 1.0)
    absent: float = 0.0
    same_origin: float = 0.0
    noise: float = 0.0
    noise_db: Range = (5.0, 20.0)
    music: float = 0.0
    music_db: Range = (5.0, 20.0)
    room: float = 0.0
    speeds: tuple[float, ...] = (1.0,)
    manners: float = 0.0
    mode: str = "max"
    level_db: Range = (-35.0, -20.0)
    refused_licenses: tuple[str, ...] = ()
    refused_speakers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not 1 <= self.n_src[0] <= self.n_src[1]:
            raise ValueError(f"n_src={self.n_src}: expected fewest and most speakers, 1 or more")
        numbers = self.n_src[1] - self.n_src[0] + 1
        if self.shares and (len(self.shares) != numbers or abs(sum(self.shares) - 1) > 1e-6):
            raise ValueError(
                f"shares={self.shares} with n_src={self.n_src}: expected {numbers} that add up to 1"
            )
        for name in ("sir_db", "overlap", "noise_db", "music_db", "level_db"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}={(low, high)}: expected the lower bound first")
        of_all = ("absent", "same_origin", "noise", "music", "room", "manners")
        shares = {name: (getattr(self, name),) * 2 for name in of_all}
        for name, (low, high) in {**shares, "overlap": self.overlap}.items():
            if low < 0 or high > 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 to 1")
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode={self.mode!r}: expected min or max")
        if not self.speeds or min(self.speeds) <= 0:
            raise ValueError(f"speeds={self.speeds}: expected one or more, each above 0")
        if not 0 < self.least_seconds <= self.seconds:
            raise ValueError(
                f"least_seconds={self.least_seconds}: expected more than 0 and at most "
                f"seconds={self.seconds}"
            )
        if self.absent and not self.enrollment_seconds:
            raise ValueError(f"absent={self.absent} without enrollment: set enrollment_seconds")


class Mixer:
    """Draws mixtures from shelves.

    Attributes:
        speakers: who can be a target: recordings on the shelf by name.
        others: who can be mixed in; more than `speakers`, since no enrollment is needed.
        shelves: all that is drawn from, by kind: speech, rir, noise, music.
    """

    def __init__(
        self,
        cfg: MixingCfg,
        speech: Shelf,
        noise: Shelf | None = None,
        music: Shelf | None = None,
        rooms: Shelf | None = None,
    ):
        """Sort the speech by speaker.

        Raises:
            ValueError: there are too few speakers, or no noise or music where the cfg asks for it.
        """
        self.cfg, self.speech = cfg, speech
        shelves = {"speech": speech, "rir": rooms, "noise": noise, "music": music}
        self.shelves = {kind: shelf for kind, shelf in shelves.items() if shelf}
        for name in BEDS:
            if getattr(cfg, name) and name not in self.shelves:
                raise ValueError(
                    f"{name}={getattr(cfg, name)} but no {name}: add recordings of it, or set "
                    f"data.mixing.{name}=0"
                )
        here: dict[str, list[int]] = defaultdict(list)
        self._least = self._samples(cfg.least_seconds * max(cfg.speeds))
        self._twins = manners_of(speech.rows)
        for i, row in enumerate(speech.rows):
            if row.manner:
                continue
            named = row.speaker and not row.speaker.startswith(cfg.refused_speakers or ("\0",))
            if named and speech.length(i) >= self._least and speech.levels[i] > 0:
                here[row.speaker].append(i)
        self._file = files_of(speech)
        begins = [row.start or 0.0 for row in speech.rows]
        self._begin = np.array(begins) * speech.sample_rate
        self._end = self._begin + np.diff(speech.starts)
        self.others = {name: np.array(which) for name, which in here.items()}
        self.speakers = {name: which for name, which in self.others.items() if self._enrolls(which)}
        self._names, self._targets = sorted(self.others), sorted(self.speakers)
        self._origin = {name: speech.rows[which[0]].origin for name, which in self.others.items()}
        wanted = cfg.n_src[1] + (cfg.absent > 0)
        if len(self._names) < wanted or not self._targets:
            raise ValueError(
                f"n_src={cfg.n_src} needs {wanted} speakers with {cfg.least_seconds} s or more, "
                "one of them with as much again for enrollment: found "
                f"{len(self._names)} and {len(self._targets)}; lower it or add recordings"
            )

    def item(self, seed: int, epoch: int, index: int) -> Example:
        """The mixture of that number: mixture [T], sources [S, T], enrollment [T']."""
        return mixdown(self.draw(seed, epoch, index), self.shelves)

    def draw(self, seed: int, epoch: int, index: int) -> Drawn:
        """What the mixture of that number is made of.

        Samples are read only to draw again where a stretch is mostly silent.
        """
        cfg, random = self.cfg, np.random.default_rng([seed, epoch, index])
        absent = random.random() < cfg.absent
        n_src = self._n_src(random)
        target = self._targets[int(random.integers(len(self._targets)))]
        n_others = n_src if absent else n_src - 1
        rest = self._beside(target, n_others, random)
        chosen = random.choice(len(rest), n_others, replace=False)
        names = [*([] if absent else [target]), *(rest[i] for i in chosen)]
        length, enrollment, parts = self._samples(cfg.seconds), None, list[Stretch]()
        if cfg.enrollment_seconds:
            first, enrollment = self._target(target, random)
            parts = [] if absent else [first]
        for name in names[len(parts) :]:
            share = random.uniform(*cfg.overlap) if parts else 1.0
            parts.append(self._other(name, max(1, round(share * length)), random))
        rooms = parts if random.random() < cfg.room else []
        responses = tuple(self._room(random) for _ in rooms)
        length = length if cfg.mode == "max" else min(part.heard for part in parts)
        sirs, offsets = list[float](), list[int]()
        for part in parts:
            if offsets:
                sirs.append(random.uniform(*cfg.sir_db))
            offsets.append(int(random.integers(max(length - part.heard, 0) + 1)))
        beds = [self._bed(kind, length, random) for kind in self._beds_under(len(parts), random)]
        return Drawn(
            speakers=tuple(names),
            enrolled=target if enrollment else "",
            absent=absent,
            length=length,
            parts=tuple(parts),
            rooms=responses,
            sir_db=tuple(sirs),
            offsets=tuple(offsets),
            beds=tuple(beds),
            level_db=random.uniform(*cfg.level_db),
            enrollment=enrollment,
            enrollment_db=random.uniform(*cfg.level_db) if enrollment else 0.0,
        )

    def _n_src(self, random: Random) -> int:
        fewest, most = self.cfg.n_src
        if not self.cfg.shares:
            return int(random.integers(fewest, most + 1))
        return fewest + int(random.choice(len(self.cfg.shares), p=self.cfg.shares))

    def _beside(self, target: str, n: int, random: Random) -> list[str]:
        """Who may be heard beside or instead of the target: n of them are needed."""
        rest = [name for name in self._names if name != target]
        if self.cfg.same_origin and random.random() < self.cfg.same_origin:
            near = [name for name in rest if self._origin[name] == self._origin[target]]
            return near if len(near) >= n else rest
        return rest

    def _beds_under(self, speakers: int, random: Random) -> list[str]:
        """What lies under the speakers; a lone one gets something wherever there is anything."""
        some = [name for name in BEDS if getattr(self.cfg, name)]
        drawn = [name for name in some if random.random() < getattr(self.cfg, name)]
        if speakers == 1 and some and not drawn:
            return [some[int(random.integers(len(some)))]]
        return drawn

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.cfg.sample_rate)

    def _enrolls(self, here: Indices) -> bool:
        """Whether a speaker's recordings give a target and another stretch to enroll with."""
        if not self.cfg.enrollment_seconds:
            return True
        several = len(set(self._file[here])) > 1
        apart = bool(self._begin[here].max() >= self._end[here].min() - 1)
        return several or apart or any(self.speech.length(i) >= 2 * self._least for i in here)

    def _partners(self, which: int, here: Indices) -> Indices:
        """Recordings that can enroll the speaker of one.

        Those in other files; else those in the same file that share no sample with it; else the
        recording itself, when it is long enough to be parted.
        """
        elsewhere: Indices = here[self._file[here] != self._file[which]]
        if len(elsewhere):
            return elsewhere
        after = self._begin[here] >= self._end[which] - 1
        apart = here[after | (self._end[here] <= self._begin[which] + 1)]
        long = self.speech.length(which) >= 2 * self._least
        return np.array([which]) if long and not len(apart) else np.array(apart)

    def _target(self, name: str, random: Random) -> tuple[Stretch, Stretch]:
        """What the target says in the mixture, and another stretch to know it by."""
        cfg, here = self.cfg, self.speakers[name]
        speed = self._speed(random)
        n, most = (round(self._samples(s) * speed) for s in (cfg.seconds, cfg.enrollment_seconds))
        which = partner = 0
        for which in random.permutation(here).tolist():
            partners = self._partners(which, here) if cfg.enrollment_seconds else here
            if len(partners):
                partner = int(partners[random.integers(len(partners))])
                break
        if partner != which:
            said = self.speech.crop(which, n, random)
            other = self.speech.crop(partner, most, random)
        else:
            said, other = self._parted(which, n, most, random)
        if cfg.manners and random.random() < cfg.manners:
            partner, other = self._otherwise(partner, *other)
        return self._played(which, *said, speed), self._played(partner, *other, speed)

    def _otherwise(self, which: int, start: int, n: int) -> tuple[int, tuple[int, int]]:
        """The same stretch of a recording where it is heard in another manner, or its beginning."""
        twin = self._twins.get(which)
        if twin is None:
            return which, (start, n)
        length = self.speech.length(twin)
        ratio = length / self.speech.length(which)
        start = min(int(start * ratio), length - 1)
        return twin, (start, max(1, min(n, int(n * ratio), length - start)))

    def _parted(
        self, which: int, n: int, most: int, random: Random
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where two stretches of one recording that share no sample begin, and their lengths."""
        shelf, length = self.speech, self.speech.length(which)
        least = self._least
        total = min(length, n + most)
        n = min(max(round(total * n / (n + most)), min(least, n)), total - min(least, most))
        most = total - n
        start = other = 0
        for _ in range(TRIES):
            start = int(random.integers(length - total + 1))
            other = start + n + int(random.integers(length - total - start + 1))
            if random.random() < 0.5:  # the enrollment first: the same, told backwards
                start, other = length - start - n, length - other - most
            x, y = shelf.take(which, start, n), shelf.take(which, other, most)
            if min(rms(x), rms(y)) > 0.1 * shelf.levels[which]:
                break
        return (start, n), (other, most)

    def _other(self, name: str, n: int, random: Random) -> Stretch:
        here, speed = self.others[name], self._speed(random)
        which = int(here[random.integers(len(here))])
        return self._played(which, *self.speech.crop(which, round(n * speed), random), speed)

    def _played(self, which: int, start: int, n: int, speed: float) -> Stretch:
        rate = self.cfg.sample_rate
        heard = n if speed == 1 else lasts(n, round(rate * speed), rate)
        return Stretch(which, start, n, speed, heard)

    def _bed(self, kind: str, n: int, random: Random) -> Bed:
        shelf = self.shelves[kind]
        which = int(random.integers(len(shelf)))
        snr = random.uniform(*getattr(self.cfg, f"{kind}_db"))
        return Bed(kind, which, shelf.filling(which, n, random), snr)

    def _speed(self, random: Random) -> float:
        return self.cfg.speeds[int(random.integers(len(self.cfg.speeds)))]

    def _room(self, random: Random) -> int | Array:
        if "rir" in self.shelves and random.random() < 0.5:
            return int(random.integers(len(self.shelves["rir"])))
        return simulated_response(self.cfg.sample_rate, random)


def load(
    cfg: MixingCfg,
    manifests: Sequence[str | Path],
    split: str,
    folder: str | Path | None = None,
    on_bad: str = "stop",
) -> Mixer:
    """A mixer over one split of manifests, whose kinds are speech, noise, music and rir.

    Args:
        cfg: what is mixed.
        manifests: CSV files.
        split: train, valid or test.
        folder: where decoded samples are kept from run to run; in memory when None.
        on_bad: "stop" at a recording that cannot be read, or "skip" it.

    Raises:
        ValueError: a manifest makes no sense, or holds too little for the cfg; with "stop", a
            recording cannot be read.
    """
    shelves = {}
    for kind, rows in recordings(cfg, manifests, split).items():
        place = None if folder is None else shelf_of(cfg, folder, split, kind)
        shelves[kind] = Shelf(rows, cfg.sample_rate, place, on_bad) if rows else None
    speech = shelves["speech"]
    if speech is None:
        raise ValueError(f"no speech with a speaker in the {split} split: fill the column speaker")
    return Mixer(cfg, speech, shelves.get("noise"), shelves.get("music"), shelves.get("rir"))


def shelf_of(cfg: MixingCfg, folder: str | Path, split: str, kind: str) -> Path:
    """Where decoded samples of a kind are kept; with manners and without in two places."""
    name = "speech_manners" if kind == "speech" and cfg.manners else kind
    return Path(folder) / split / name


def recordings(
    cfg: MixingCfg, manifests: Sequence[str | Path], split: str
) -> dict[str, list[Recording]]:
    """What mixtures of a split are made of, by kind; speech in another manner, too, where asked.

    Raises:
        ValueError: a manifest makes no sense.
    """
    rows = [row for path in manifests for row in manifest.read(path) if row.split == split]
    rows = [row for row in rows if row.kind != "speech" or row.speaker]
    rows = manifest.allowed(rows, cfg.refused_licenses)
    used = {"speech": True, "noise": cfg.noise > 0, "music": cfg.music > 0, "rir": cfg.room > 0}
    kinds = {kind: [row for row in rows if row.kind == kind] for kind, use in used.items() if use}
    if cfg.manners:
        kinds["speech"] += [replace(row, manner=1) for row in kinds["speech"]]
    return kinds
