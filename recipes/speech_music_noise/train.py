"""Train slim and wide on manifests of speech, music and noise.

    python recipes/speech_music_noise/train.py MANIFEST.csv ... [key=value ...]

Both read one bank of augmented clips, which is made first. A killed run goes on when called again.
With distill.teacher=FOLDER they learn from a larger network, and their folders end in _distilled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/speech_music_noise")


def main() -> None:
    """Train what the two recipes beside this file say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arguments", nargs="+", help="manifests (CSV) and key=value")
    parser.add_argument("--recipes", nargs="+", default=["swishnet_slim", "swishnet_wide"])
    options = parser.parse_args()
    manifests = [str(Path(a).resolve()) for a in options.arguments if "=" not in a]
    overrides = [f"data.manifests={json.dumps(manifests)}"]
    overrides += [a for a in options.arguments if "=" in a]
    taught = any(a.startswith("distill.teacher=") for a in overrides)
    for name in options.recipes:
        output = RUNS / (f"{name}_distilled" if taught else name)
        print(train(HERE / f"{name}.yaml", overrides, output=output))


if __name__ == "__main__":
    main()
