"""Give our networks and published ones the same time, score them, and write peers.md.

    python recipes/real_small/peers.py MANIFEST.csv ... [key=value ...] [--budget 600]
        [--networks NAME ...] [--lists runs/real_small/lists] [--device cuda [--unscored]]

All networks of a job learn from the same mixtures in the same order, with the same loss, optimiser
and averaging; the learning rate is our recipe's or the one that was published, and falls with the
share of the budget that is used. Counted is the time of the steps, of this process, one thread, on
the CPU, or what a CUDA device takes for them: drawing and making mixtures, and a first gradient
that only tells how long a step takes, are not. On a CUDA device our steps are recorded and
replayed; asteroid's blocks make a tensor on the way, which cannot be recorded. The networks
of a job take turns, so that what else the machine does falls on all of them. The last step may end
after the budget. Finished networks and their scores are kept in runs/real_small/peers (peers_cuda),
and a killed run goes on from where it last saved. Scores are found on the CPU; with `--unscored`
they are not, and no lists are needed: take the folder to where the lists are and call again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from learner import Learner, settings
from peer_networks import ConvTasNet, TDSpeakerBeam
from safetensors.torch import load_model
from torch import nn

from sepaudio import registry
from sepaudio.cli import key_values, script
from sepaudio.data import mixing
from sepaudio.training import recipe as recipes
from sepaudio.training.process import fast_products, keep_memory
from sepaudio.training.recipe import MixtureRecipeCfg
from sepaudio.verbs.report import compared_as_markdown, table
from sepaudio.verbs.results import fill, machine, score_lists
from sepaudio.verbs.scores import Row, compare, from_csv, summarise

HERE = Path(__file__).parent
RUNS = Path("runs/real_small")
DEVICES = {"cpu": RUNS / "peers", "cuda": RUNS / "peers_cuda"}  # where networks are kept
HEAD = ("network", "parameters", "batch", "steps", "time [s]", "list", "SI-SNRi (95 %) [dB]")
COMPARED = ("si_snr_i", "wrong")


def ours(cfg: MixtureRecipeCfg) -> nn.Module:
    """The network of a recipe."""
    return registry.build(recipes.model_cfg(cfg))


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A network and how it learns.

    Attributes:
        recipe: the job, and all that `changes` leave.
        changes: of the recipe.
        build: makes the network.
        at_once: mixtures whose gradient is found at once on a CPU, 0 for the batch; the sum is the
            same. A peer's activations of one mixture take gigabytes, and more are no faster.
    """

    recipe: str
    changes: tuple[str, ...] = ()
    build: Callable[[MixtureRecipeCfg], nn.Module] = ours
    at_once: int = 0

    def cfg(self, given: Sequence[str]) -> MixtureRecipeCfg:
        """The recipe with its changes, and those of the command line."""
        read = recipes.read(HERE / f"{self.recipe}.yaml", [*self.changes, *given])
        assert isinstance(read, MixtureRecipeCfg)
        return read


def conv_tasnet(*changes: str) -> Contender:
    """asteroid's network with its published learning rate."""
    return Contender(
        recipe="mitas_small",
        changes=("optim.lr=1e-3", *changes),
        build=lambda cfg: ConvTasNet(cfg.data.mixing.sample_rate),
        at_once=1,
    )


def td_speakerbeam(*changes: str) -> Contender:
    """TD-SpeakerBeam with its published learning rate and loss."""
    return Contender(
        recipe="tsenet_small",
        changes=("optim.lr=1e-3", "voices=0.0", *changes),
        build=lambda cfg: TDSpeakerBeam(cfg.data.mixing.sample_rate),
        at_once=1,
    )


JOBS = {  # by our recipe: title, lists, contenders; ours come first
    "mitas_small": (
        "Separation",
        ("two_speakers",),
        {
            "mitas_small": Contender(recipe="mitas_small"),
            "conv_tasnet": conv_tasnet(),
            "conv_tasnet_by_2": conv_tasnet("optim.batch=2"),
        },
    ),
    "tsenet_small": (
        "Extraction",
        ("two_speakers", "noise", "music"),
        {
            "tsenet_small": Contender(recipe="tsenet_small", changes=("model.presence=0.0",)),
            "td_speakerbeam": td_speakerbeam(),
            "td_speakerbeam_by_2": td_speakerbeam("optim.batch=2"),
        },
    ),
}
CONTENDERS = {name: one for _, _, these in JOBS.values() for name, one in these.items()}


def kept(name: str, cfg: MixtureRecipeCfg, budget: float, place: Path) -> dict[str, Any]:
    """What a finished network cost; empty where none was made with these settings."""
    path = place / name / "about.json"
    about = json.loads(path.read_text()) if path.exists() else {}
    wanted = settings(cfg, budget)
    return about if {key: about.get(key) for key in wanted} == wanted else {}


def train(cfgs: dict[str, MixtureRecipeCfg], budget: float, device: str) -> None:
    """Train the networks of one job, always the one that used least, and keep each when done."""
    data, place = next(iter(cfgs.values())).data, DEVICES[device]
    if device == "cuda":
        fast_products()
    place.mkdir(parents=True, exist_ok=True)
    mixer = mixing.load(data.mixing, data.manifests, "train", data.shelf, data.on_bad)
    learners = []
    for name, cfg in cfgs.items():
        torch.manual_seed(cfg.seed)
        one = CONTENDERS[name]
        at_once = (one.at_once if device == "cpu" else 0) or cfg.optim.batch
        own = one.build(cfg), cfg, mixer, budget, place / name, at_once, device
        learners.append(Learner(*own, record=one.build is ours))
    while learners:
        behind = min(learners, key=lambda learner: learner.spent)
        if behind.spent < budget:
            behind.learn()
        else:
            behind.keep()
            learners.remove(behind)


def scored(name: str, model: nn.Module, lists: Sequence[Path], place: Path) -> dict[str, list[Row]]:
    """Rows of a kept network by list, measured where that was not done since it was made."""
    out, rows = place / "scores" / name, {}
    for path in lists:
        made = out / path.name
        sources = (path, place / name / "about.json")
        since = max(source.stat().st_mtime for source in sources)
        if not made.exists() or made.stat().st_mtime < since:
            score_lists(model, [path], out)
        rows[path.stem] = from_csv(made)
    return rows


def lines(name: str, model: nn.Module, cost: dict[str, Any], rows: dict[str, list[Row]]) -> Any:
    """A network in the table: a line for every list."""
    size = f"{sum(p.numel() for p in model.parameters()):,}"
    told = (name, size, str(cost["batch"]), str(cost["steps"]), f"{cost['seconds']:.0f}")
    for number, (key, these) in enumerate(rows.items()):
        figures = summarise(these)["figures"]
        gain, wrong = figures["si_snr_i"], figures.get("wrong")
        low, high = gain["interval"]
        cells = (key, f"{gain['mean']:.2f} ({low:.2f} to {high:.2f})")
        share = f"{100 * wrong['mean']:.1f} %" if wrong else ""
        yield (*(told if not number else ("",) * len(told)), *cells, share)


def against(
    us: tuple[str, dict[str, list[Row]]], them: tuple[str, dict[str, list[Row]]]
) -> tuple[str, list[str]]:
    """Ours minus a peer's as a table, and the lists on which the peer is better at 5 %."""
    found, lost = {}, []
    for key, rows in us[1].items():
        pair = compare(rows, them[1][key])
        found[key] = {figure: pair[figure] for figure in COMPARED if figure in pair}
        gain = pair["si_snr_i"]
        if gain.difference < 0 and gain.p < 0.05:
            lost.append(f"{them[0]} on {key}")
    return f"#### {us[0]} minus {them[0]}\n\n{compared_as_markdown(found)}\n", lost


def judged(
    title: str,
    cfgs: dict[str, MixtureRecipeCfg],
    lists: Sequence[Path],
    budget: float,
    place: Path,
) -> str:
    """The tables of one job, from the networks that are kept."""
    rows, told, text, lost = {}, [(*HEAD, "wrong speaker")], "", []
    for name, cfg in cfgs.items():
        model = CONTENDERS[name].build(cfg).eval()
        load_model(model, str(place / name / "model.safetensors"))
        rows[name] = scored(name, model, lists, place)
        cost = kept(name, cfg, budget, place)
        told += lines(name, model, cost, rows[name])
    us, *peers = rows.items()
    for them in peers:
        part, worse = against(us, them)
        text, lost = text + part, lost + worse
    verdict = f"Better than ours at p < 0.05: {', '.join(lost) or 'none'}.\n\n" if peers else ""
    where = "CPU" if cost["device"] == "cpu" else f"steps on one {cost['device']}"
    about = f"{budget:g} s of {where} each, seed {cfg.seed}. {machine(model)}"
    return f"### {title}\n\n{about}\n\n{table(told, left=(0, 5))}\n{text}{verdict}"


def main() -> None:
    """Train what is missing, score, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", help="CSV; key=value may stand anywhere")
    parser.add_argument("--budget", type=float, default=600.0, help="time of each [s]")
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    parser.add_argument("--networks", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--unscored", action="store_true", help="train only; call again elsewhere")
    parser.add_argument("--lists", type=Path, default=RUNS / "lists")
    parser.add_argument("--readme", type=Path, default=HERE / "peers.md")
    given, others = key_values()
    options = parser.parse_args(others)
    if not options.budget > 0:
        parser.error(f"--budget={options.budget}: expected seconds, more than 0")
    manifests = [str(Path(a).resolve()) for a in options.manifests]
    given = [f"data.manifests={json.dumps(manifests)}", *given]
    torch.set_num_threads(1)
    keep_memory()
    text, place = "", DEVICES[options.device]
    for title, names, contenders in JOBS.values():
        lists = [path for name in names if (path := options.lists / f"{name}.csv").exists()]
        if not lists and not options.unscored:
            parser.error(f"{options.lists} has none of {', '.join(names)}: call make_lists.py")
        chosen = {n: one.cfg(given) for n, one in contenders.items() if n in options.networks}
        missing = {n: cfg for n, cfg in chosen.items() if not kept(n, cfg, options.budget, place)}
        if missing:
            train(missing, options.budget, options.device)
        if chosen and not options.unscored:
            text += judged(title, chosen, lists, options.budget, place)
    if not options.unscored:
        fill(options.readme, text, place.name)
        print(text)


if __name__ == "__main__":
    script(main)
