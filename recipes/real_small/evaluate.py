"""Score trained models on the fixed lists, write the tables, publish the weights.

    python recipes/real_small/evaluate.py [--lists runs/real_small/lists] [--models NAME ...]
        [--metrics sdr,pesq,stoi] [--genders MANIFEST.csv] [--plot] [--readme OURS.md]
        [--publish sepaudio/pretrained]

An extractor is scored on all lists, a separator on those of two speakers, an encoder by how well
it tells the voices of with_speaker.csv apart. README.md gets all networks at a glance and tables
of what ships, stages.md those of the others; what they say of networks without a run stays. Beside
the tables every mixture's scores, the first examples as audio and pictures (--plot) go to
runs/real_small/scores.
Two runs are compared by `sepaudio evaluate --scores ONE.csv --compare OTHER.csv`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stages import ENCODERS, EXTRACTORS, RUNS, SEPARATORS, runs_of

from sepaudio import hub, load, metrics
from sepaudio.cli import script
from sepaudio.data import manifest, mixtures
from sepaudio.data.render import render
from sepaudio.files import atomic_json, atomic_text
from sepaudio.verbs.report import as_markdown, compared_as_markdown, plot
from sepaudio.verbs.results import described, fill, machine, score_lists
from sepaudio.verbs.scores import Row, compare, summarise
from sepaudio.verbs.verify import equal_error_rate

HERE = Path(__file__).parent
MODELS = (*EXTRACTORS[::-1], *ENCODERS.values(), *SEPARATORS[::-1], "mitas_small_unshared")
OF_TWO = ("two_speakers", "two_in_noise")
LISTS = (*OF_TWO, "by_telephone", "noise", "music", "absent")
PRESENCE = ("with_speaker", "without_speaker")
BEDS = ("noise", "music")
PAIR = "Shared weights against unshared ones"
SILENT = -40.0  # [dB] beside the mixture
SHIPPED = {  # name of the weights, for `sepaudio list`, what they do
    "tsenet_small_colours": (
        "one_speaker",
        "who is enrolled, out of a mixture",
        "Pulls the voice of one speaker out of a mixture, given a recording of that speaker.",
    ),
    "mitas_small_beyond": (
        "two_speakers",
        "two speakers apart",
        "Separates two speakers who talk at the same time.",
    ),
}

Scored = dict[str, list[Row]]


def scored(
    net: Any, out: Path, options: argparse.Namespace, lists: Sequence[str] = LISTS, **more: Any
) -> Scored:
    """Rows of one model by list; a separator has two, and there may be no noise and no music."""
    names = lists if net.task == "extraction" else OF_TWO
    there = [path for name in names if (path := options.lists / f"{name}.csv").exists()]
    figures = options.metrics.split(",") if options.metrics else ()
    genders = manifest.genders(options.genders) if options.genders else None
    return score_lists(net, there, out, figures=figures, genders=genders, **more)


def judged(found: Scored, kept: Scored) -> tuple[str, dict[str, float]]:
    """How well an extractor knows that the speaker is absent: a sentence, and its figures.

    Args:
        found: rows with silence where the speaker seemed absent.
        kept: the same without any silencing.
    """
    here, gone = (found[name] for name in PRESENCE)
    told = np.array([row.figures["presence"] for row in (*here, *gone)], dtype=np.float64)
    labels = np.repeat([1, 0], [len(here), len(gone)])
    leaks = [row.figures["leak"] for row in gone]
    figures = {
        "calibration_error": metrics.calibration_error(labels, np.stack([1 - told, told], axis=1)),
        "accuracy": float(np.mean((told >= 0.5) == labels)),
        "silent_when_absent": float(np.mean([leak is None or leak <= SILENT for leak in leaks])),
        "cost_when_present_db": _gain(kept[PRESENCE[0]]) - _gain(here),
    }
    over = {name: _gain(kept[name]) - _gain(found[name]) for name in BEDS if name in found}
    figures |= {f"cost_over_{name}_db": cost for name, cost in over.items()}
    more = "".join(f", {cost:.2f} dB over {name}" for name, cost in over.items())
    figures["silent_when_present"] = _silent(here)
    falls = {name: _silent(found[name]) for name in over}
    figures |= {f"silent_over_{name}": share for name, share in falls.items()}
    all_silent = "".join(f", {100 * share:.1f} % over {name}" for name, share in falls.items())
    text = (
        f"Presence: calibration error {100 * figures['calibration_error']:.1f} %, right in "
        f"{100 * figures['accuracy']:.1f} % of {len(told)} mixtures of two, half of them without "
        f"the enrolled speaker. There the estimate is silent ({SILENT:g} dB or less beside the "
        f"mixture) in {100 * figures['silent_when_absent']:.1f} %; where the speaker is there "
        f"this costs {figures['cost_when_present_db']:.2f} dB on the mean{more}, and "
        f"{100 * figures['silent_when_present']:.1f} % are silent all through{all_silent}.\n\n"
    )
    return text, figures


def _silent(rows: Sequence[Row]) -> float:
    """The share of estimates that are silent all through: no other has exactly 0 dB."""
    return float(np.mean([row.figures["si_snr"] == 0 for row in rows]))


def _gain(rows: Sequence[Row]) -> float:
    return float(np.mean([row.figures["si_snr_i"] for row in rows]))


def voices(speaker: Any, path: Path) -> tuple[str, dict[str, float]]:
    """How well a speaker encoder tells whose voice the sources of mixtures are, each by itself."""
    same, other = list[float](), list[float]()
    for row in mixtures.read(path):
        made = render(row)
        with torch.inference_mode():
            sounds = [torch.from_numpy(x)[None] for x in (made.enrollment, *made.sources)]
            first, *rest = torch.cat([speaker(x) for x in sounds])
        for number, vector in enumerate(rest):
            alike = float(torch.cosine_similarity(first, vector, dim=0))
            (same if number == made.target else other).append(alike)
    rate = equal_error_rate(same, other)
    text = (
        f"Voices: enrollments against the sources of {len(same)} mixtures, each by itself: equal "
        f"error rate {100 * rate:.1f} %.\n\n"
    )
    return text, {"equal_error_rate": rate}


def tables(name: str, options: argparse.Namespace) -> tuple[str, dict[str, Any], Scored]:
    """The tables of one model, its figures by list, and its rows."""
    folder, out = RUNS / name / "model", RUNS / "scores" / name
    net: Any = load(folder)
    text, summaries, found = "", dict[str, Any](), Scored()
    if net.task != "speaker":
        found = scored(net, out, options)
        if options.plot:
            plot(out / "improvement.png", {k: v for k, v in found.items() if k != "absent"})
        summaries = {key: summarise(rows) for key, rows in found.items()}
        text = as_markdown(summaries) + "\n"
    if net.task == "extraction" and net.cfg.presence:
        told = scored(net, out, options, PRESENCE)
        kept = scored(net, out / "kept", options, (*PRESENCE[:1], *BEDS), least=0.0)
        more, summaries["presence"] = judged(told | {k: found[k] for k in BEDS if k in found}, kept)
        text += more
    speaker = net if net.task == "speaker" else getattr(net, "speaker", None)
    of_voices = options.lists / f"{PRESENCE[0]}.csv"
    if speaker is not None and of_voices.exists():
        more, summaries["voices"] = voices(speaker, of_voices)
        text += more
    return f"{described(net, folder)} {machine(net)}\n\n{text}", summaries, found


def card(name: str, text: str) -> str:
    """The card that goes with shipped weights."""
    shipped, _, about = SHIPPED[name]
    config = hub.read_config(RUNS / name / "model")
    mixing, optim = config["recipe"]["data"]["mixing"], config["recipe"]["optim"]
    sources = "\n".join(f"- {origin}" for origin in hub.trained_on(config))
    versions = ", ".join(f"{k} {v}" for k, v in config["versions"].items())
    runs = runs_of(name)
    heard_by = ", with `speaker_encoder`" if set(runs) & set(ENCODERS.values()) else ""
    before = config.get("init", {}).get("name", "").removesuffix("/model")
    start = f" after those of {before}" if before else ""
    where = "a CPU" if config["device"] == "cpu" else config["device"]
    absent = ""
    if "Presence:" in text:
        absent = (
            " Where the enrolled speaker does not talk, a voice like his is often taken for his, "
            "above all one of the same gender, and is heard in the place of silence. Where he "
            "does, in loud noise, over music or beside a like voice, he may be taken for absent: "
            "`--least 0` keeps all."
        )
    return (
        f"# {shipped}\n\n{about} Architecture `{config['architecture']}`, changed as "
        f"`recipes/real_small/{runs[0]}.yaml` says{heard_by}, "
        f"{config['sample_rate']} Hz, not causal: it hears the recording whole, "
        "or 30 seconds at once.\n\n"
        f"Licence of the weights: **{config['license']}** (share-alike recordings are among the "
        "training data). The code is Apache-2.0.\n\n"
        "## Training\n\n"
        f"`python recipes/real_small/train.py MANIFEST.csv ... --recipes {' '.join(runs)}`, seed "
        f"{config['seed']}, {optim['steps']} steps{start} of {optim['batch']} mixtures of "
        f"{mixing['seconds']:g} s, each drawn anew, on {where}. Versions: {versions}. "
        f"Fingerprint of the recordings: `{config['data_fingerprint']}`. No recording with a "
        f"non-commercial or no-derivatives clause was used.\n\nHeard were\n\n{sources}\n\n"
        "## Measured\n\nOn speakers who were not heard in training, 4 s each; in brackets the "
        "95 % interval when mixtures are drawn again. Lists: `recipes/real_small/make_lists.py`."
        f"\n\n{text}"
        "## Limits\n\nRead, clean speech for the most part, mixed by adding: rooms with echo, "
        "telephones and overlapping crowds were not learned from. Trained briefly: expect "
        f"errors, above all between like voices.{absent}\n"
    )


def sections(page: Path) -> dict[str, str]:
    """What a page's results say of every network: those without a run stay as they are."""
    block = page.read_text(encoding="utf-8").partition("<!-- results -->")[2]
    block = block.partition("<!-- end results -->")[0]
    found = (part.partition("\n") for part in block.split("### ")[1:])
    return {name.strip(): text for name, _, text in found}


def write(parts: Mapping[str, str], readme: Path, stages: Path) -> str:
    """Write all networks at a glance and what ships into one page, the others into another.

    Returns:
        The text of both.
    """
    known = [name for name in (*MODELS, PAIR) if name in parts]
    pages: dict[Path, list[str]] = {readme: [], stages: []}
    pages[readme].append(overview({name: parts[name] for name in known if name != PAIR}))
    for name in known:
        page = readme if name in SHIPPED or name == PAIR else stages
        pages[page].append(f"### {name}\n\n{parts[name].strip()}")
    texts = {page: "\n\n".join(text) for page, text in pages.items()}
    for page, text in texts.items():
        fill(page, text)
    return "\n\n".join(texts.values())


def overview(parts: Mapping[str, str]) -> str:
    """A row for every network, out of what its own tables say: improvements in dB, shares in %."""
    wanted = {
        "two speakers": _of("two_speakers", "all"),
        "same gender": _of("two_speakers", "same gender"),
        "different": _of("two_speakers", "different gender"),
        "wrong speaker": r"^\| two_speakers +\| all .*\| +([\d.]+) % \|$",
        "enrolled by telephone": _of("by_telephone", "all"),
        "two in noise": _of("two_in_noise", "all"),
        "over noise": _of("noise", "all"),
        "over music": _of("music", "all"),
        "silent when absent": r"beside the mixture\) in ([\d.]+) %",
        "voices, equal error rate": r"equal error rate ([\d.]+) %",
    }
    lines = [f"| network | {' | '.join(wanted)} |", f"| --- |{' ---: |' * len(wanted)}"]
    for name, text in parts.items():
        found = [re.search(pattern, text, re.MULTILINE) for pattern in wanted.values()]
        cells = [match.group(1) if match else "" for match in found]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(name: str, which: str) -> str:
    """What finds the improvement in a row of a network's table."""
    return rf"^\| {name} +\| {which} +\|(?:[^|]*\|){{4}} +(-?[\d.]+) \("


def main() -> None:
    """Score, print, write and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, default=RUNS / "lists")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--metrics", default="", help="beside SI-SNR, with commas between")
    parser.add_argument("--genders", type=Path, help="CSV with speaker and gender")
    parser.add_argument("--plot", action="store_true", help="draw improvement against input SIR")
    parser.add_argument("--readme", type=Path, help="gets all tables; made if need be")
    parser.add_argument("--stages", type=Path, help="gets those of what does not ship")
    parser.add_argument("--publish", type=Path, help="folder of shipped weights")
    options = parser.parse_args()
    readme = options.readme or HERE / "README.md"
    stages = options.stages or options.readme or HERE / "stages.md"
    for page in {readme, stages}:
        if not page.exists():
            atomic_text(page, "# Results\n\n<!-- results -->\n\n<!-- end results -->\n")
    parts, figures = sections(readme) | sections(stages), dict[str, Any]()
    rows: dict[str, Mapping[str, list[Row]]] = {}
    for name in options.models:
        if not (RUNS / name / "model").is_dir():
            continue
        part, figures[name], rows[name] = tables(name, options)
        parts[name] = part
        if options.publish and name in SHIPPED:
            shipped, about, _ = SHIPPED[name]
            source = RUNS / name / "model"
            hub.ship(source, options.publish, shipped, card=card(name, part), about=about)
    if {"mitas_small", "mitas_small_unshared"} <= set(rows):
        pair = compare(
            rows["mitas_small"]["two_speakers"], rows["mitas_small_unshared"]["two_speakers"]
        )
        parts[PAIR] = compared_as_markdown({"two_speakers": pair})
    atomic_json(RUNS / "scores" / "results.json", figures)
    print(write(parts, readme, stages))


if __name__ == "__main__":
    script(main)
