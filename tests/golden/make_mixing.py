"""What the mixer makes of a few voices: `python tests/golden/make_mixing.py` writes mixing.json.

It was made by the mixer that drew and rendered at once, before the two were parted. The hashes are
exact; the figures of the samples carry over to machines whose last digits differ.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import mixed_voices

GOLDEN = Path(__file__).with_name("mixing.json")

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = mixed_voices.digest(folder)
    for case in made.values():
        case["figures"] = [[float(f"{x:.6g}") for x in figures] for figures in case["figures"]]
    GOLDEN.write_text(json.dumps(made).replace("], [", "],\n[") + "\n")
