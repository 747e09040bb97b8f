"""Choose how `segment` smooths on a validation set, measure it on a test set, fill README.md.

    python recipes/segmentation/evaluate.py --valid FOLDER --test FOLDER [--unseen FOLDER]

The folders come from make_set.py. Frames of 10 ms; those that are silent in the set are left out,
as in the paper. A frame that is taken for silence but is not counts as wrong.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import timeline
from sepaudio.files import atomic_json
from sepaudio.metrics import accuracy, bootstrap, f1_of, recalls
from sepaudio.verbs import segment as verb
from sepaudio.verbs.evaluate_timelines import TimelineCfg, count
from sepaudio.verbs.results import fill
from sepaudio.verbs.segment import Heard, SegmentCfg

HERE = Path(__file__).parent
JUDGED = TimelineCfg(collar=0.5)
NAMES = ("speech_music_noise", "speech_music_noise_slim")
PLAIN = SegmentCfg(  # no silence either
    speech_reach=0.0, min_duration=0.0, min_silence=1e6, noise_bias=0.0
)
OFFSETS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
REACHES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6)
SWITCHES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
MEDIANS = (0.5, 1.0, 2.0, 3.0)
MARGINS = (0.1, 0.2, 0.4)
BIASES = (0.0, 0.25, 0.5, 0.75, 1.0)
DURATIONS = (0.0, 0.25, 0.5, 1.0, 2.0)
BIAS = "noise favoured by [nats], viterbi and reach"
File = tuple[Heard, timeline.Timeline]  # what was heard, and what is there


@dataclass(frozen=True, kw_only=True)
class Score:
    """Figures of one way to decide; shares of frames, and seconds."""

    accuracy: float
    interval: tuple[float, float]
    speech: float  # speech or not
    recall: dict[str, float]
    segment_f1: float  # of classes in seconds, all classes together
    event_f1: float  # of stretches whose ends are right to half a second
    boundary: float | None  # median distance of a change in the set to the nearest that was found
    changes: float  # found for every change in the set


def hear(name: str, folder: Path) -> list[File]:
    """The probabilities of every file of a set."""
    net = verb.resolve(name, "cpu")
    found = []
    for one in timeline.read(folder / "labels.csv"):
        blocks = io.blocks(folder / one.file, verb.BLOCK, sample_rate=net.sample_rate)
        found.append((verb.hear(net, blocks), one))
    return found


def score(files: list[File], cfg: SegmentCfg) -> Score:
    """Decide every file one way and compare with the set."""
    labels = files[0][0].labels
    counts, distances, found = [], [], 0
    for heard, there in files:
        given = verb.decide(heard, cfg)
        counts.append(count(there, given, labels, replace(JUDGED, frame=heard.frame)))
        ours, theirs = edges(given), edges(there)
        found += len(ours)
        distances += [float(np.abs(ours - t).min()) for t in theirs if len(ours)]
    each = np.array([one.confusion for one in counts])
    each[:, -1] = 0  # frames that are silent in the set
    total = each.sum(axis=0)
    speech = labels.index("speech")
    right = total[speech, speech] + np.delete(np.delete(total, speech, 0), speech, 1).sum()
    segments, events = (
        sum(getattr(one, name) for one in counts).sum(axis=0) for name in ("segments", "events")
    )
    return Score(
        accuracy=accuracy(total),
        interval=bootstrap(each, accuracy),
        speech=float(right / total.sum()),
        recall=dict(zip(labels, recalls(total)[:-1].tolist(), strict=True)),
        segment_f1=float(f1_of(segments)),
        event_f1=float(f1_of(events)),
        boundary=float(np.median(distances)) if distances else None,
        changes=found / sum(len(edges(there)) for _, there in files),
    )


def edges(one: timeline.Timeline) -> np.ndarray:
    """Times of changes from class to class [s]; a silence between them counts by its middle."""
    sounds = [s for s in one.segments if s.label != "silence"]
    pairs = pairwise(sounds)
    return np.array([(a.end + b.start) / 2 for a, b in pairs if a.label != b.label])


def best(files: list[File], cfgs: list[SegmentCfg]) -> tuple[SegmentCfg, list[Score]]:
    """The most accurate of some ways, and the figures of all."""
    scores = [score(files, cfg) for cfg in cfgs]
    return cfgs[int(np.argmax([s.accuracy for s in scores]))], scores


def shipped(files: list[File]) -> SegmentCfg:
    """What `segment` does with the weights that heard them."""
    return replace(SegmentCfg(), noise_bias=files[0][0].noise_bias)


def choose(files: list[File]) -> tuple[dict[str, SegmentCfg], dict[str, dict[str, Score]]]:
    """The best of every kind on a validation set, and what each was chosen from."""
    tried: dict[str, dict[str, Score]] = {}

    def pick(title: str, base: SegmentCfg, name: str, values: tuple[float, ...]) -> SegmentCfg:
        cfgs = [replace(base, **{name: float(v)}) for v in values]
        chosen, scores = best(files, cfgs)
        tried[title] = dict(zip([f"{v:g}" for v in values], scores, strict=True))
        return chosen

    moved = pick("offset [s], viterbi", PLAIN, "offset", OFFSETS)
    viterbi = pick("price of a change [nat s], viterbi", moved, "switch", SWITCHES)
    drawn = pick("reach of speech [s], viterbi", viterbi, "speech_reach", REACHES)
    biased = pick(BIAS, drawn, "noise_bias", BIASES)
    whole = replace(drawn, min_silence=SegmentCfg().min_silence)
    pick("shortest stretch [s], viterbi and silence", whole, "min_duration", DURATIONS)
    still = replace(moved, smoothing="none")
    median = pick("median filter [s]", replace(still, smoothing="median"), "median", MEDIANS)
    margin = pick("lead needed (hysteresis), median", median, "hysteresis", MARGINS)
    ways = {
        "every frame for itself, not moved": replace(still, offset=0.0),
        "every frame for itself": still,
        "median filter": median,
        "median filter, hysteresis": margin,
        "median filter, hysteresis, reach": replace(margin, speech_reach=drawn.speech_reach),
        "viterbi": viterbi,
        "viterbi, reach": drawn,
        "viterbi, reach, noise favoured": biased,
        "`segment` as it ships": shipped(files),
    }
    return ways, tried


def as_markdown(scores: dict[str, Score], head: str) -> str:
    """A row for every score; in percent, and seconds."""
    names = list(next(iter(scores.values())).recall)
    titles = [head, "accuracy (95 %)", "speech or not", *(f"recall {n}" for n in names)]
    titles += ["segment F1", "event F1", "boundary [s]", "changes"]
    lines = [f"| {' | '.join(titles)} |", "|" + " --- |" * len(titles)]
    for title, s in scores.items():
        low, high = s.interval
        cells = [title, f"{100 * s.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})"]
        cells += [
            f"{100 * value:.1f}"
            for value in (s.speech, *s.recall.values(), s.segment_f1, s.event_f1)
        ]
        cells += ["" if s.boundary is None else f"{s.boundary:.2f}", f"{s.changes:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def about(cfg: SegmentCfg) -> str:
    """What was chosen, in a few words."""
    words = {"viterbi": ("switch",), "median": ("median", "hysteresis"), "none": ()}
    chosen = ("offset", *words[cfg.smoothing], "speech_reach", "noise_bias", "min_duration")
    return ", ".join(f"{name} {getattr(cfg, name):g}" for name in chosen if getattr(cfg, name))


def main() -> None:
    """Choose, measure, write README.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--valid", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument(
        "--unseen", type=Path, help="of collections that no weights were trained on"
    )
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    results, text = {}, ""
    for name in NAMES:
        ways, tried = choose(hear(name, options.valid))
        test = hear(name, options.test)
        scores = {way: score(test, cfg) for way, cfg in ways.items()}
        minutes = sum(there.seconds for _, there in test) / 60
        titled = {
            f"{way}: {about(cfg)}" if about(cfg) else way: scores[way]
            for way, cfg in ways.items()
        }  # fmt: skip
        text += f"### {name}\n\nTest set: {len(test)} files, {minutes:.0f} minutes.\n\n"
        text += as_markdown(titled, "decided by") + "\nChosen on the validation set:\n\n"
        text += "\n".join(as_markdown(part, title) for title, part in tried.items()) + "\n"
        far: dict[str, Score] = {}
        if options.unseen:
            heard = hear(name, options.unseen)
            cfgs = {f"{b:g}": replace(SegmentCfg(), noise_bias=b) for b in BIASES}
            far = {title: score(heard, cfg) for title, cfg in cfgs.items()}
            minutes = sum(there.seconds for _, there in heard) / 60
            text += f"Collections never trained on: {len(heard)} files, {minutes:.0f} minutes.\n\n"
            text += as_markdown(far, "`segment`, noise favoured by [nats]") + "\n"
        results[name] = {
            "chosen": {way: about(cfg) for way, cfg in ways.items()},
            "test": {way: asdict(s) for way, s in scores.items()},
            "unseen": {bias: asdict(s) for bias, s in far.items()},
            "valid": {t: {v: asdict(s) for v, s in p.items()} for t, p in tried.items()},
        }
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
