"""What is trained one after the other: each goes on from what the one before it made."""

from pathlib import Path

RUNS = Path("runs/real_small")
EXTRACTORS = (
    *("tsenet_small", "tsenet_small_longer", "tsenet_small_alike", "tsenet_small_present"),
    *("tsenet_small_many", "tsenet_small_muon", "tsenet_small_voices"),
)
ENCODERS = {"tsenet_small_voices": "voices_small"}  # speaker encoders that learned by themselves
SEPARATORS = ("mitas_small", "mitas_small_longer", "mitas_small_muon")
BEFORE = {name: row[:i] for row in (EXTRACTORS, SEPARATORS) for i, name in enumerate(row)}
