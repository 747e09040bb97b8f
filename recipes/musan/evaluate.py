"""Measure what train.py made on the test split, beside the paper's figures; fill README.md.

    python recipes/musan/evaluate.py MANIFEST.csv [--segments VALID TEST] [--every 5] [--data TEXT]

Clips of the test split are prepared as those of training. The folders of --segments come from
recipes/segmentation/make_set.py with --loudness paper: the first one chooses what a change of class
costs in Viterbi's search, the second is measured. Every cell names its run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paper
import segments
import torch
from numpy.typing import NDArray

from sepaudio import hub, metrics
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.cut import logits_of
from sepaudio.training.prepared import cuts
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
RUNS = Path("runs/musan")
FRAMEWISE = ("gmm", "snn")  # one run for all lengths
Tables = NDArray[np.int64]  # [recordings, K, K] counts
PAIRS = (
    ("swishnet_slim_distilled", "swishnet_slim"),
    ("swishnet_wide_distilled", "swishnet_wide"),
    ("swishnet_wide", "swishnet_slim"),
    ("swishnet_wide", "gmm"),
    ("mobilenet", "swishnet_wide_distilled"),
)


def run_of(name: str, seconds: float) -> str:
    """Name of the run that judges clips of a length."""
    return name if name in FRAMEWISE else f"{name}_{seconds:g}s"


def confusions(net: Any, manifest: Path, seconds: float) -> Tables:
    """A table of the test clips of each recording."""
    given = [f"data.manifests={json.dumps([str(manifest.resolve())])}"]
    given += [f"data.cut.seconds={seconds}", "data.cut.overlap=0.5"]
    recipe: Any = recipes.read(HERE / "snn.yaml", given)
    found = cuts(recipe.data, net, "test")
    said = logits_of(net, found).argmax(dim=1).numpy()
    tables = np.zeros((len(found.features.rows), *2 * (len(net.labels),)), np.int64)
    np.add.at(tables, (found.places[:, 0], found.labels, said), 1)
    return tables


def speech_or_not(table: Any) -> float:
    """Accuracy where speech, the last class, is told from the rest alone."""
    table = np.asarray(table, dtype=np.float64)
    return float((table[-1, -1] + table[:-1, :-1].sum()) / table.sum())


def summary(tables: Tables) -> dict[str, Any]:
    """Figures of many recordings, in percent, and the tables they come from."""
    total = tables.sum(axis=0)
    low, high = metrics.bootstrap(tables, metrics.accuracy)
    return {
        "accuracy": 100 * metrics.accuracy(total),
        "interval": [100 * low, 100 * high],
        "speech": 100 * speech_or_not(total),
        "f1": 100 * metrics.macro_f1(total),
        "recall": [100 * x for x in metrics.recalls(total).tolist()],
        "confusion": total.tolist(),
        "recordings": len(tables),
        "items": int(total.sum()),
    }


def paired(one: Tables, other: Tables) -> tuple[float, float, float]:
    """Accuracy of one less that of the other in points; 95 %, recordings drawn again."""
    both = np.stack([one, other], axis=1).astype(np.float64)

    def gain(weights: Any = None) -> float:
        a, b = np.tensordot(np.ones(len(both)) if weights is None else weights, both, 1)
        return 100 * (metrics.accuracy(a) - metrics.accuracy(b))

    low, high = metrics.spread(metrics.redrawn(len(both), gain))
    return gain(), low, high


def link(run: str, text: str) -> str:
    """A cell that leads to its run."""
    return f"[{text}](#{anchor(run)})"


def anchor(run: str) -> str:
    """Name of a run's place on the page."""
    return "run-" + run.replace(".", "")


def beside(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def compared(
    title: str,
    theirs: dict[str, Any],
    ours: Callable[[str, float], str],
    show: Callable[[Any], str],
) -> str:
    """The paper's figures beside ours: a row a network, two columns a length."""
    head = [title]
    for seconds in paper.SECONDS:
        head += [f"{seconds:g} s, paper", f"{seconds:g} s, ours"]
    rows = []
    for name, called in paper.ROWS.items():
        row, there = [called], theirs.get(name)
        for i, seconds in enumerate(paper.SECONDS):
            row += [show(there[i]) if there else "", ours(name, seconds)]
        if there or any(row[2::2]):
            rows.append(row)
    return beside(head, rows)


def runs_table(runs: dict[str, dict[str, Any]]) -> str:
    """What every run is, with the place that cells lead to."""
    head = ["run", "weights", "seed", "clips", "epochs", "best step", "valid, best", "teacher"]
    head += ["data", "test, last step"]
    rows = []
    for run, about in runs.items():
        rows.append(
            [
                f'<a id="{anchor(run)}"></a>{run}',
                f"{about['parameters']:,}",
                str(about["seed"]),
                str(about["clips"]),
                str(about.get("epochs") or ""),
                str(about.get("best_step") or ""),
                f"{100 * about['valid']:.2f}",
                about.get("teacher", ""),
                f"`{about['fingerprint'][:12]}`",
                "" if about.get("last") is None else f"{about['last']:.2f}",
            ]
        )
    return beside(head, rows)


def about_run(run: str, net: Any) -> dict[str, Any]:
    """What a run's config.json says of it."""
    config = hub.read_config(RUNS / run / "model")
    recipe = config.get("recipe", {})
    distill = recipe.get("distill", {})
    taught = bool(distill.get("teacher")) and distill.get("weight", 0) > 0
    kept = "valid" in config and config["valid"]
    trained = sum(p.numel() for p in net.parameters())
    if hasattr(net, "mixtures"):  # a mixture's numbers are means, variances and weights
        trained = sum(m.means.numel() * 2 + m.components for m in net.mixtures)
    return {
        "parameters": trained,
        "seed": config["seed"],
        "clips": config["clips"],
        "epochs": recipe.get("optim", {}).get("epochs"),
        "best_step": config.get("best_step"),
        "valid": config["valid"]["best"]["accuracy"] if kept else config.get("valid_accuracy", 0.0),
        "teacher": (
            f"{distill['teacher'].split('/')[0]}, {distill['weight']:g} at T = "
            f"{distill['temperature']:g}" if taught else ""
        ),
        "fingerprint": config["data_fingerprint"],
    }  # fmt: skip


def main() -> None:
    """Measure, write README.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--segments", type=Path, nargs=2, metavar=("VALID", "TEST"))
    parser.add_argument("--every", type=int, default=1, help="frames that share a decision")
    parser.add_argument("--data", default="MUSAN", help="what the manifest holds, in words")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, dict[str, Any]] = {}
    clips: dict[str, dict[str, Any]] = {}
    frames: dict[str, dict[str, Any]] = {}
    tables: dict[str, Tables] = {}
    net: Any = None
    for name in paper.ROWS:
        for seconds in paper.SECONDS:
            run = run_of(name, seconds)
            if not (RUNS / run / "model").is_dir():
                continue
            net = hub.load(RUNS / run / "model")
            key = f"{name} {seconds:g}"
            tables[key] = confusions(net, options.manifest, seconds)
            clips[key] = summary(tables[key]) | {"run": run}
            if run not in runs:
                runs[run] = about_run(run, net)
                if (RUNS / run / "last").is_dir():
                    last = confusions(hub.load(RUNS / run / "last"), options.manifest, seconds)
                    runs[run]["last"] = 100 * metrics.accuracy(last.sum(axis=0))
            if options.segments and not (
                name in FRAMEWISE and any(k.startswith(name) for k in frames)
            ):
                valid, test = (
                    segments.hear(net, folder, seconds, options.every)
                    for folder in options.segments
                )
                price = segments.price_of(valid)
                frames[key] = {
                    "run": run,
                    "price": price,
                    **{
                        way: summary(segments.tables(test, way, value))
                        for way, value in (
                            ("none", 0.0), ("median", segments.MEDIAN), ("viterbi", price),
                        )
                    },
                }  # fmt: skip
    if not clips:
        raise SystemExit(f"no trained model in {RUNS}: expected what train.py makes")
    text = written(options.data, runs, clips, frames, tables) + f"\n{machine(net)}\n"
    results = {"data": options.data, "runs": runs, "clips": clips, "frames": frames}
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", text)
    print(text)


def written(
    data: str,
    runs: dict[str, dict[str, Any]],
    clips: dict[str, dict[str, Any]],
    frames: dict[str, dict[str, Any]],
    tables: dict[str, Tables],
) -> str:
    """All tables as Markdown."""

    def of(show: Callable[[dict[str, Any]], str]) -> Callable[[str, float], str]:
        def cell(name: str, seconds: float) -> str:
            found = clips.get(f"{name} {seconds:g}")
            return link(found["run"], show(found)) if found else ""

        return cell

    def framed(name: str, seconds: float) -> str:
        found = frames.get(f"{name} {paper.SECONDS[0] if name in FRAMEWISE else seconds:g}")
        if found is None:
            return ""
        return link(found["run"], " / ".join(f"{x:.2f}" for x in trio(found["median"])))

    some = next(iter(clips.values()))
    text = (
        f"Paper: MUSAN. Ours: {data}, {some['recordings']} test recordings.\n\n"
        "### Clips: accuracy / speech or not\n\n"
    )
    text += compared(
        "",
        paper.CLIPS,
        of(lambda f: f"{f['accuracy']:.2f} / {f['speech']:.2f}"),
        lambda x: f"{x[0]:.2f} / {x[1]:.2f}",
    )
    text += "\n### Clips: mean F1 of the classes\n\n"
    text += compared("", paper.F1, of(lambda f: f"{f['f1']:.2f}"), lambda x: f"{x:.2f}")
    text += "\n### Clips: recall of noise / music / speech\n\n"
    text += compared(
        "",
        paper.RECALL,
        of(lambda f: " / ".join(f"{x:.0f}" for x in f["recall"])),
        lambda x: " / ".join(f"{y:.0f}" for y in x),
    )
    pairs = [
        [f"{paper.ROWS[a]} - {paper.ROWS[b]}", f"{s:g} s", "{:+.2f} ({:+.2f} to {:+.2f})".format(
            *paired(tables[f"{a} {s:g}"], tables[f"{b} {s:g}"])
        )]
        for a, b in PAIRS
        for s in paper.SECONDS
        if {f"{a} {s:g}", f"{b} {s:g}"} <= set(tables)
    ]  # fmt: skip
    if pairs:
        text += "\n### Clips: difference of accuracy in points, 95 %, recordings drawn again\n\n"
        text += beside(["", "clips", "difference"], pairs)
    if frames:
        text += (
            "\n### Segmentation: accuracy of frames / speech or not / recall of noise, median\n\n"
        )
        text += compared(
            "", paper.SEGMENTS, framed, lambda x: f"{x[0]:.2f} / {x[1]:.2f} / {x[2]:.0f}"
        )
        text += "\n### Segmentation: three ways to decide, ours\n\n"
        head = ["", "window", "every frame for itself", "median", "Viterbi", "price [nats]"]
        rows = []
        for key, found in frames.items():
            name, seconds = key.split()
            each = [f"{found[way]['accuracy']:.2f}" for way in ("none", "median", "viterbi")]
            low, high = found["viterbi"]["interval"]
            each[-1] += f" ({low:.1f} to {high:.1f})"
            window = "" if name in FRAMEWISE else f"{seconds} s"
            rows.append([paper.ROWS[name], window, *each, f"{found['price']:g}"])
        text += beside(head, rows)
    return f"{text}\n### Runs\n\n{runs_table(runs)}"


def trio(found: dict[str, Any]) -> tuple[float, float, float]:
    """Accuracy, speech or not, recall of noise."""
    return found["accuracy"], found["speech"], found["recall"][0]


if __name__ == "__main__":
    main()
