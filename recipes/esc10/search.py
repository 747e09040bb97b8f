"""Search for the smallest tagger that meets a latency on this machine, train it, compare.

    python recipes/esc10/search.py esc10.csv --latency 5ms 6ms [--fold 1] [--held 2] [key=value ...]

The trunk of `esresnet_small.yaml` is opened: kernel, expansion and groups of each block, or
whether there is one. One search serves all latencies. It never hears the fold that judges, and the
probabilities of blocks are learned from the clips of another one; the networks that are found, and
the hand-made one, then learn from all folds but the first, with the recipe as it is. `key=value`
changes that recipe, `search.key=value` the search.

To runs/esc10_search: latency.csv (kept: remove it to measure again), the search, and a recipe for
each network, `found_5ms.yaml`, that `sepaudio train` takes. The table goes into search.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_model, save_model

from sepaudio import hub, registry
from sepaudio.backbones import config, scaled
from sepaudio.backbones.supernet import SuperCfg
from sepaudio.cli import key_values, script
from sepaudio.data import manifest
from sepaudio.files import atomic, atomic_json, atomic_text
from sepaudio.training import clips, latency, recipe, search
from sepaudio.verbs.results import fill, machine
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
HAND = "esresnet_small"
ROUNDS, REPEATS = 7, 10  # of the table and the networks in turn, at the end
# weights of one network a step: a fifth of the time; probabilities learn faster than in the paper,
# since they have a thirtieth of its steps
SEARCH: dict[str, Any] = {"hard": True, "lr": 0.05}


class Search:
    """An open network, its latency table and its clips."""

    def __init__(self, options: argparse.Namespace, changes: list[str]):
        self.options, self.folder = options, options.runs
        manifests = f"data.manifests={json.dumps([str(options.manifest.resolve())])}"
        self.changes = [manifests, f"data.fold={options.fold}", *changes]
        self.recipe: Any = recipe.read(
            HERE / f"{HAND}.yaml", [*self.changes, f"data.valid_fold={options.held}"]
        )
        self.cfg = recipe.model_cfg(self.recipe)
        base = replace(config(self.cfg.backbone), always=True)  # as FBNet's blocks are
        self.space = scaled(SuperCfg(base=base), width=self.cfg.multiplier)
        torch.manual_seed(self.recipe.seed)
        self.model: Any = registry.build(replace(self.cfg, backbone=self.space, multiplier=1.0))
        self.clip = torch.zeros(1, round(self.cfg.seconds * self.cfg.features.sample_rate))
        self.clip = 0.1 * torch.randn_like(self.clip)
        self.folder.mkdir(parents=True, exist_ok=True)

    def table(self) -> latency.LatencyTable:
        """Measured now, or before."""
        path = self.folder / "latency.csv"
        if not path.exists():
            latency.measure(self.model, self.clip).write(path)
        return latency.read(path, self.model)

    def lessons(self) -> tuple[clips.Clips, list[int]]:
        """The clips, and which of them the probabilities learn from."""
        loaded = clips.load(self.recipe, self.model)
        rows, refused = loaded.shelf.rows, self.recipe.data.refused_licenses
        free = {id(row) for row in manifest.allowed(rows, refused)}
        return loaded, [i for i in loaded.parts["valid"] if id(rows[i]) in free]

    def run(self, table: latency.LatencyTable, cfg: search.SearchCfg) -> list[search.Found]:
        """Search, or take what was found; a network for every latency."""
        torch.set_num_threads(self.recipe.optim.threads)
        loaded, held = self.lessons()
        path, about = self.folder / "supernet.safetensors", self.folder / "search.json"
        asked = {**asdict(cfg), "changes": self.changes, "held": self.options.held}
        if not path.exists() or json.loads(about.read_text())["asked"] != asked:
            learned: list[tuple[int, float, float]] = []
            self.model.to(memory_format=torch.channels_last)
            search.search(
                self.model,
                clips.lesson(loaded, self.model, self.recipe),
                clips.lesson(replace(loaded, parts={"train": held}), self.model, self.recipe),
                table, self.recipe.optim, cfg, self.recipe.seed,
                lambda *values: self._tell(learned, values),
            )  # fmt: skip
            with atomic(path) as new:
                save_model(self.model, str(new))
            atomic_json(about, {"asked": asked, "learned": learned})
        load_model(self.model, str(path))
        mixed = [held[i] for i in np.random.default_rng(0).permutation(len(held))]
        labels = loaded.labels[mixed]

        def judge(model: Any) -> float:  # norms have the statistics of the clips judged
            return clips.accuracy(clips.logits_of(model.train(), loaded, mixed), labels)

        found = []
        for limit in self.options.latency:
            picks = search.networks(self.model, table, limit, cfg.drawn, self.recipe.seed)
            found.append(
                search.smallest(search.judged(self.model, table, picks, judge), len(mixed))
            )
        return found

    def _tell(self, learned: list[Any], values: tuple[int, float, float]) -> None:
        learned.append(values)
        if len(learned) % 25 == 1 and not self.options.quiet:
            step, loss, ms = values
            print(f"step {step}: loss {loss:.3f}, expected latency {ms:.2f} ms", file=sys.stderr)

    def recipe_of(self, found: search.Found, limit: float) -> Path:
        """Write the recipe of a network: that of the hand-made one with another trunk."""
        text = yaml.safe_load((HERE / f"{HAND}.yaml").read_text())
        text["model"]["backbone"] = registry.brief(self.space.found(found.names))
        text["model"]["multiplier"] = 1.0
        path = self.folder / f"found_{limit:g}ms.yaml"
        head = f"# Found by recipes/esc10/search.py for {limit:g} ms: {', '.join(found.names)}.\n"
        atomic_text(path, head + yaml.safe_dump(text, sort_keys=False, default_flow_style=None))
        return path


def trained(made: Path, name: str, changes: list[str], seeds: list[int], folder: Path) -> list[Any]:
    """Model folders of a recipe, one for each seed."""
    return [
        train(made, [*changes, f"seed={seed}"], output=folder / name / f"seed{seed}", quiet=True)
        for seed in seeds
    ]


class Both:
    """What the table says of networks, and what they take, measured in turn."""

    def __init__(self, run: Search, found: list[search.Found], folders: list[Path]):
        again = latency.measure(run.model, run.clip, REPEATS)
        self.table = [again.of(one.picks) for one in found]
        models = {str(folder): hub.load(folder) for folder in folders}
        self.ms = list(latency.latencies(models, run.clip, REPEATS).values())


def row(title: str, folders: list[Path], *times: float | None) -> str:
    """A line of the table."""
    right = [hub.read_config(folder)["judged"]["last"] for folder in folders]
    size = sum(p.numel() for p in hub.load(folders[0]).parameters())
    told = " | ".join("–" if ms is None else f"{ms:.2f}" for ms in times)
    spread = f" ± {100 * np.std(right, ddof=1):.1f}" if len(right) > 1 else ""
    return f"| {title} | {size:,} | {told} | {100 * np.mean(right):.1f}{spread} |"


def blocks(found: search.Found, space: SuperCfg) -> str:
    """The blocks of a network, stage by stage."""
    left = iter(found.names)
    stages = [[next(left).replace(" ", "") for _ in places] for places in space.places()]
    return " / ".join(", ".join("–" if name == "skip" else name for name in s) for s in stages)


def main() -> None:
    """Measure, search, train, compare."""
    given, others = key_values()
    own = [word for word in given if word.startswith("search.")]
    changes = [word for word in given if word not in own]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--latency", nargs="+", required=True, help="such as 5ms")
    parser.add_argument("--fold", type=int, default=1, help="that judges")
    parser.add_argument("--held", type=int, default=2, help="that architectures learn from")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--runs", type=Path, default=Path("runs/esc10_search"))
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the search.md to fill")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(others)
    options.latency = [float(word.removesuffix("ms")) for word in options.latency]
    pairs = (word.removeprefix("search.").split("=") for word in own)
    cfg = registry.changed(
        search.SearchCfg(**SEARCH), {key: yaml.safe_load(text) for key, text in pairs}
    )
    run = Search(options, changes)
    table = run.table()
    nets = run.run(table, cfg)
    made = [run.recipe_of(*pair) for pair in zip(nets, options.latency, strict=True)]
    folders = [trained(x, x.stem, run.changes, options.seeds, run.folder) for x in made]
    hand = trained(HERE / f"{HAND}.yaml", HAND, run.changes, options.seeds, run.folder)
    both = [Both(run, nets, [*(own[0] for own in folders), hand[0]]) for _ in range(ROUNDS)]
    table_now, now = (np.median([getattr(x, key) for x in both], axis=0) for key in ("table", "ms"))
    lines = [
        row(f"found for {limit:g} ms", own, found.ms, by_table, ms)
        for limit, own, found, by_table, ms in zip(
            options.latency, folders, nets, table_now, now[:-1], strict=True
        )
    ]
    lines.append(row(f"`{HAND}`, by hand", hand, None, None, now[-1]))
    pairs = zip(options.latency, nets, strict=True)
    told = [f"{limit:g} ms: {blocks(found, run.space)}" for limit, found in pairs]
    text = "\n".join(
        [
            f"Fold {options.fold} judges; seeds {', '.join(map(str, options.seeds))}. Latency: a "
            f"clip of {run.cfg.seconds:g} s, one thread. {machine(hub.load(hand[0]))}\n",
            "| network | parameters | by the table, ms | by the table now, ms | measured now, ms "
            "| accuracy, % |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "\nBlocks, as kernel, expansion, groups; – is none:\n",
            *(f"* {one}" for one in told),
            "",
            spread_of(table, cfg),
        ]
    )
    fill(options.into / "search.md", text, "search")
    print(text)


def spread_of(table: latency.LatencyTable, cfg: search.SearchCfg) -> str:
    """What the table says, and how long was searched."""
    low = table.rest + sum(float(ms.min()) for ms in table.ms)
    high = table.rest + sum(float(ms.max()) for ms in table.ms)
    blocks = [row.ms for row in table.rows if row.place != latency.REST and row.option != "skip"]
    return (
        f"By the table the networks of the space take {low:.2f} to {high:.2f} ms, of which "
        f"{table.rest:.2f} ms are spent on all but the blocks; a block takes {min(blocks):.2f} to "
        f"{max(blocks):.2f} ms. {cfg.steps} steps of the weights, one of the architecture in "
        f"{cfg.every}."
    )


if __name__ == "__main__":
    script(main)
