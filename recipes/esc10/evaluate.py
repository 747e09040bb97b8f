"""Judge what train.py made on the folds it never heard, fill README.md, publish the weights.

    python recipes/esc10/evaluate.py [--runs runs/esc10] [--publish sepaudio/pretrained]

A clip is judged whole: probabilities of its windows are averaged. "Last" is the model after the
last step, chosen by nothing. "Best" is the step that was best on the very fold that judges it, as
papers report it: it flatters. Intervals come from drawing source recordings again, not clips.
What is published is the run that left fold 5 out; its temperature comes from the clips of the
other folds, as judged by the runs that never heard those.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import hub, metrics, registry
from sepaudio.files import atomic_json
from sepaudio.training import clips, loop, recipe
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
SHIPPED, NAME, FOLD = "esresnet_separable", "esc10", 5
ABOUT = "ten sounds: dog, rain, crying baby ..."


class Run:
    """One trained fold, and what it says of the clips of that fold."""

    def __init__(self, folder: Path):
        self.folder, self.recipe = folder, recipe.read(folder / "recipe.yaml")
        self.model: Any = hub.load(folder / "model")
        self.clips = clips.load(self.recipe, self.model)
        self.test = self.clips.parts["test"]
        self.labels = self.clips.labels[self.test]
        fill_with = self.recipe.data.augment.fill
        self.last = clips.logits_of(self.model, self.clips, self.test, fill_with)
        found, self.best, self.step = loop.best(folder), self.last, None
        if found:
            self.step, weights = found
            other = registry.build(self.model.cfg)
            other.load_state_dict(weights)
            self.best = clips.logits_of(other.eval(), self.clips, self.test, fill_with)

    def right(self) -> dict[str, tuple[str, bool]]:
        """By clip: its source recording, and whether it is named rightly after the last step."""
        hits = self.last.argmax(dim=1).numpy() == self.labels
        rows = [self.clips.shelf.rows[i] for i in self.test]
        return {
            row.path.name: (row.source.split(":")[0], bool(hit))
            for row, hit in zip(rows, hits, strict=True)
        }

    def tables(self, logits: torch.Tensor) -> dict[str, np.ndarray]:
        """Confusion tables [K, K] by source recording."""
        found: dict[str, np.ndarray] = {}
        said, n = logits.argmax(dim=1).numpy(), logits.shape[1]
        for i, label, heard in zip(self.test, self.labels, said, strict=True):
            source = self.clips.shelf.rows[i].source.split(":")[0]
            found.setdefault(source, np.zeros((n, n)))
            found[source] += metrics.confusion(np.array([label]), np.array([heard]), n)
        return found


def pooled(runs: list[Run], which: str) -> dict[str, Any]:
    """Accuracy over the clips of all folds, its interval, and by fold."""
    tables = [run.tables(getattr(run, which)) for run in runs]
    every = np.stack([one for table in tables for one in table.values()])
    folds = [metrics.accuracy(np.stack(list(table.values())).sum(axis=0)) for table in tables]
    return {
        "accuracy": metrics.accuracy(every.sum(axis=0)),
        "interval": metrics.bootstrap(every, metrics.accuracy),
        "folds": folds,
        "confusion": every.sum(axis=0).astype(int).tolist(),
        "clips": int(every.sum()),
        "recordings": len(every),
    }


def compared(first: list[Run], second: list[Run]) -> dict[str, Any]:
    """Accuracy of the first less the second on the clips that both were judged on."""
    ours, theirs = (
        {k: v for run in runs for k, v in run.right().items()} for runs in (first, second)
    )
    names = sorted(set(ours) & set(theirs))
    a, b = (np.array([one[name][1] for name in names]) for one in (ours, theirs))
    sources, of = np.unique([ours[name][0] for name in names], return_inverse=True)
    drawn = metrics.redrawn(
        len(sources), lambda counts: np.average(a * 1.0 - b, weights=counts[of])
    )
    return {
        "clips": len(names),
        "difference": float(a.mean() - b.mean()),
        "interval": metrics.spread(drawn),
        "alone": [int((a & ~b).sum()), int((b & ~a).sum())],
        "p": metrics.mcnemar(a, b),
    }


def comparison(found: dict[str, dict[str, Any]]) -> str:
    """Markdown of what is compared with the recipe that ships."""
    lines = [
        f"### Compared with {SHIPPED}\n",
        "After the last step, on the same clips; p is McNemar's, exact, of clips.\n",
        "| recipe | clips | difference, points (95 %) | right alone, it / the other | p |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found.items():
        low, high = (100 * end for end in one["interval"])
        lines.append(
            f"| {name} | {one['clips']} | {100 * one['difference']:+.1f} ({low:+.1f} to "
            f"{high:+.1f}) | {one['alone'][0]} / {one['alone'][1]} | {one['p']:.2g} |"
        )
    return "\n".join(lines) + "\n"


def percent(values: list[float]) -> str:
    """Mean and spread of folds."""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def tables(name: str, runs: list[Run], found: dict[str, Any]) -> str:
    """Markdown of one recipe."""
    model, optim = runs[0].model, runs[0].recipe.optim
    size = sum(p.numel() for p in model.parameters())
    folds = [int(run.folder.name.removeprefix("fold")) for run in runs]
    lines = [
        f"### {name}\n",
        f"{size:,} parameters, windows of {model.seconds:g} s at {model.sample_rate} Hz; "
        f"{optim.steps} steps of {optim.batch} clips, seed {runs[0].recipe.seed}. {machine(model)}"
        "\n",
        "| accuracy, % | " + " | ".join(f"fold {n}" for n in folds)
        + " | mean ± deviation | pooled (95 %) |",
        "| --- |" + " ---: |" * (len(folds) + 2),
    ]  # fmt: skip
    for which, title in (("last", "last step"), ("best", "best step, chosen on that fold")):
        if which == "best" and None in found["best"]["steps"]:
            continue  # not judged before the last step
        one = found[which]
        low, high = one["interval"]
        cells = [f"{100 * value:.1f}" for value in one["folds"]] + [percent(one["folds"])]
        cells += [f"{100 * one['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    one = found["last"]
    lines.append(
        f"\n{one['clips']} clips of {one['recordings']} source recordings; at the last step:\n"
    )
    return "\n".join(lines) + "\n" + confusion(one["confusion"], model.labels)


def confusion(table: list[list[int]], labels: tuple[str, ...]) -> str:
    """A confusion table: a row per true class."""
    lines = ["| heard as | " + " | ".join(labels) + " |", "| --- |" + " ---: |" * len(labels)]
    for label, row in zip(labels, table, strict=True):
        lines.append(f"| {label} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines) + "\n"


def publish(runs: list[Run], text: str, root: Path) -> None:
    """Ship the run that left fold 5 out."""
    (run,) = [one for one in runs if one.folder.name == f"fold{FOLD}"]
    others = [one for one in runs if one is not run]
    config = hub.read_config(run.folder / "model")
    temperature = 1.0
    if others:
        said = torch.cat([one.last for one in others])
        temperature = clips.calibrated(said, np.concatenate([one.labels for one in others]))
        clips.cool(run.model.head, temperature)
    kept = ("architecture", "license", "trained_on", "seed", "recipe", "versions", "init")
    about = {key: config[key] for key in (*kept, "data_fingerprint", "judged") if key in config}
    out = run.folder.parent / "shipped"
    hub.save(run.model, out, card="", **about, temperature=temperature)
    hub.ship(out, root, NAME, card=card(run, config, temperature, text), about=ABOUT)


def card(run: Run, config: dict[str, Any], temperature: float, text: str) -> str:
    """The card that goes with the weights."""
    rows = [run.clips.shelf.rows[i] for i in run.clips.parts["train"]]
    licences = {row.license for row in rows}
    counts = {name: sum(row.license == name for row in rows) for name in sorted(licences)}
    named = sorted({row.source.split("@")[1].split(":")[0] for row in rows if "BY" in row.license})
    versions = ", ".join(f"{k} {v}" for k, v in config["versions"].items())
    optim = run.recipe.optim
    return (
        f"# {NAME}\n\n"
        f"Names ten sounds: {', '.join(run.model.labels)}. Architecture `{config['architecture']}` "
        f"with the values of `recipes/esc10/{SHIPPED}.yaml`, {run.model.sample_rate} Hz, decides "
        f"{run.model.seconds:g} s at once.\n\n"
        f"Licence of the weights: **{config['license']}**. The code is Apache-2.0.\n\n"
        "## Training\n\n"
        f"`python recipes/esc10/train.py esc10.csv`, seed {config['seed']}, {optim.steps} steps of "
        f"{optim.batch} clips on one thread of a CPU. This is the run on folds 1 to 4; **fold "
        f"{FOLD} was not heard** and tests it. Versions: {versions}. Fingerprint of the "
        f"recordings: `{config['data_fingerprint']}`. A temperature of {temperature:.3f} is folded "
        "into the weights; it comes from clips of folds 1 to 4, as judged by runs that had not "
        "heard them.\n\n"
        "ESC-10 (K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM MM 2015, "
        "CC BY 3.0) is "
        + ", ".join(f"{n} clips {name}" for name, n in counts.items())
        + " here; clips under other licences were left out. The CC BY recordings, by their number "
        f"on freesound.org: {', '.join(named)}.\n\n"
        "## Accuracy\n\nIn percent, per clip, on the fold that each run did not hear; in brackets "
        f"the 95 % interval when source recordings are drawn again.\n\n{text}\n"
        "## Limits\n\nIt knows these ten sounds and will name one of them whatever it hears: look "
        "at the probability. Four hundred clips from freesound.org are few; microphones, rooms and "
        "mixtures that are not among them were never heard.\n"
    )


def main() -> None:
    """Judge, write README.md and results.json, publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/esc10"))
    parser.add_argument("--publish", type=Path, help="folder of shipped weights")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    results, text, judged = {}, "", dict[str, list[Run]]()
    for folder in sorted(path for path in options.runs.glob("*") if path.is_dir()):
        models = sorted(folder.glob("fold*/model"))
        if not models:
            continue
        runs = [Run(path.parent) for path in models]
        found = {which: pooled(runs, which) for which in ("last", "best")}
        found["best"]["steps"] = [run.step for run in runs]
        results[folder.name], judged[folder.name] = found, runs
        part = tables(folder.name, runs, found)
        text += part + "\n"
        if options.publish is not None and folder.name == SHIPPED:
            publish(runs, part, options.publish)
    if not results:
        raise SystemExit(f"no trained fold in {options.runs}: run train.py first")
    if SHIPPED in judged and len(judged) > 1:
        others = {
            name: compared(runs, judged[SHIPPED])
            for name, runs in judged.items()
            if name != SHIPPED
        }
        text += comparison(others)
        results[SHIPPED]["compared"] = others
    atomic_json(options.into / "results.json", json.loads(json.dumps(results)))
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
