"""Ship the run that left fold 5 out, with its card.

    python recipes/esc10/publish.py [--runs runs/esc10] [--into sepaudio/pretrained]

Its temperature comes from the clips of the other folds, as judged by the runs that never heard
those.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import hub
from sepaudio.cli import script
from sepaudio.training import clips
from sepaudio.verbs import evaluate_folds as judging

SHIPPED, NAME, FOLD = "esresnet_separable", "esc10", 5
ABOUT = "ten sounds: dog, rain, crying baby ..."
KEPT = (
    *("architecture", "license", "trained_on", "seed", "recipe", "versions", "init"),
    *("data_fingerprint", "judged"),
)


def publish(runs: judging.Runs, text: str, folder: Path, root: Path) -> None:
    """Write weights, config and card.

    Args:
        runs: of all folds.
        text: Markdown of what they are worth.
        folder: of the run that left the fold out.
        root: of the shipped weights.
    """
    (run,) = [one for one in runs.each if one.name == folder.name]
    others = [one for one in runs.each if one is not run]
    config, temperature = hub.read_config(folder / "model"), 1.0
    if others:
        said = torch.from_numpy(np.concatenate([one.last for one in others])).log()
        labels = [run.model.labels.index(row.kind) for one in others for row in one.rows]
        temperature = clips.calibrated(said, np.array(labels))
        clips.cool(run.model, temperature)
    about = {key: config[key] for key in KEPT if key in config}
    out = folder.parent / "shipped"
    hub.save(run.model, out, card="", **about, temperature=temperature)
    hub.ship(out, root, NAME, card=card(run, config, temperature, text), about=ABOUT)


def card(run: judging.Run, config: dict[str, Any], temperature: float, text: str) -> str:
    """The card that goes with the weights."""
    every = clips.rows_of(run.recipe, run.model.labels)
    rows = [every[i] for i in clips.parts_of(run.recipe, every)["train"]]
    licences = {row.license for row in rows}
    counts = {name: sum(row.license == name for row in rows) for name in sorted(licences)}
    named = sorted({row.source.split("@")[1].split(":")[0] for row in rows if "BY" in row.license})
    versions = ", ".join(f"{k} {v}" for k, v in config["versions"].items())
    optim, model = run.recipe.optim, run.model
    heard = (
        f" Its {model.cfg.members} networks see a mel picture; a Fisher vector of "
        f"{model.cfg.texture} Gaussians stands beside them. Class maps show what the networks see."
        if model.cfg.texture
        else ""
    )
    return (
        f"# {NAME}\n\n"
        f"Names ten sounds: {', '.join(run.model.labels)}. Architecture `{config['architecture']}` "
        f"with the values of `recipes/esc10/{SHIPPED}.yaml`, {run.model.sample_rate} Hz, decides "
        f"{run.model.seconds:g} s at once.{heard}\n\n"
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
    """Judge the runs of the recipe that ships, and ship one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/esc10"))
    parser.add_argument("--into", type=Path, default=Path("sepaudio/pretrained"))
    options = parser.parse_args()
    folder = options.runs / SHIPPED / f"fold{FOLD}"
    if not (folder / "model").is_dir():
        raise SystemExit(f"no trained model in {folder}: run train.py first")
    runs = judging.Runs.read(folder.parent)
    text = judging.report(SHIPPED, runs, options.runs / "scores" / SHIPPED)
    publish(runs, text, folder, options.into)


if __name__ == "__main__":
    script(main)
