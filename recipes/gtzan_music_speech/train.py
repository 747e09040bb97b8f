"""Carry what recipes/musan trained over to music against speech, with a quarter of GTZAN's files.

    python recipes/gtzan_music_speech/train.py gtzan_ms.csv [key=value ...] [--start runs/musan]

The manifest is that of data_prep/gtzan_music_speech.py, whose split says which quarter. Runs lie in
runs/gtzan_music_speech.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sepaudio import hub
from sepaudio.cli import key_values, script
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/gtzan_music_speech")
NETWORKS = ("swishnet_slim", "swishnet_wide_distilled", "mobilenet", "mobilenet_imagenet")


def main() -> None:
    """Fine-tune every network that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--start", type=Path, default=Path("runs/musan"))
    parser.add_argument("--seconds", type=float, default=2.0, help="of clips, there and here")
    given, others = key_values()
    options = parser.parse_args(others)
    manifests = json.dumps([str(options.manifest.resolve())])
    found = {name: options.start / f"{name}_{options.seconds:g}s/model" for name in NETWORKS}
    found = {name: folder for name, folder in found.items() if folder.is_dir()}
    if not found:
        raise SystemExit(f"no trained model in {options.start}: expected what recipes/musan makes")
    for name, folder in found.items():
        architecture = hub.read_config(folder)["architecture"]
        overrides = [f"architecture={architecture}", f"data.manifests={manifests}"]
        overrides += [f"data.cut.seconds={options.seconds}", f"init={folder}"]
        late = architecture.startswith("swishnet")
        overrides += [f"optim.late_frame={json.dumps(late)}", *given]
        recipe = HERE / "finetune.yaml"
        print(train(recipe, overrides, output=RUNS / name, quiet=True), flush=True)


if __name__ == "__main__":
    script(main)
