"""Tables of what was measured, the paper's figures beside ours; a cell of ours names its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paper
from numpy.typing import NDArray

from sepaudio import metrics

FRAMEWISE = ("gmm", "snn")  # one run for all lengths
Tables = NDArray[np.int64]  # [recordings, K, K] counts
PAIRS = (
    ("swishnet_slim_distilled", "swishnet_slim"),
    ("swishnet_wide_distilled", "swishnet_wide"),
    ("swishnet_wide", "swishnet_slim"),
    ("swishnet_wide", "gmm"),
    ("mobilenet", "swishnet_wide_distilled"),
)


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
        return link(found["run"], "{:.2f} / {:.2f} / {:.0f}".format(*trio(found["median"])))

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
    head = [
        "run",
        "weights",
        "seed",
        "clips",
        "epochs",
        "batch",
        "best step",
        "valid, best",
        "teacher",
    ]
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
                str(about.get("batch") or ""),
                str(about.get("best_step") or ""),
                f"{100 * about['valid']:.2f}",
                about.get("teacher", ""),
                f"`{about['fingerprint'][:12]}`",
                "" if about.get("last") is None else f"{about['last']:.2f}",
            ]
        )
    return beside(head, rows)


def beside(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def link(run: str, text: str) -> str:
    """A cell that leads to its run."""
    return f"[{text}](#{anchor(run)})"


def anchor(run: str) -> str:
    """Name of a run's place on the page."""
    return "run-" + run.replace(".", "")


def trio(found: dict[str, Any]) -> tuple[float, float, float]:
    """Accuracy, speech or not, recall of noise."""
    return found["accuracy"], found["speech"], found["recall"][0]


def paired(one: Tables, other: Tables) -> tuple[float, float, float]:
    """Accuracy of one less that of the other in points; 95 %, recordings drawn again."""
    both = np.stack([one, other], axis=1).astype(np.float64)

    def gain(weights: Any = None) -> float:
        a, b = np.tensordot(np.ones(len(both)) if weights is None else weights, both, 1)
        return 100 * (metrics.accuracy(a) - metrics.accuracy(b))

    low, high = metrics.spread(metrics.redrawn(len(both), gain))
    return gain(), low, high
