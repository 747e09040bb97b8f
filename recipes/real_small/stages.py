"""What is trained one after the other: each goes on from what the one before it made."""

from pathlib import Path

RUNS = Path("runs/real_small")
EXTRACTORS = (
    *("tsenet_small", "tsenet_small_longer", "tsenet_small_alike", "tsenet_small_present"),
    *("tsenet_small_many", "tsenet_small_muon", "tsenet_small_voices", "tsenet_small_judged"),
    *("tsenet_small_steady", "tsenet_small_leftover", "tsenet_small_card", "tsenet_small_manners"),
    *("tsenet_small_colours", "tsenet_small_pair"),
)
# Speaker encoders that learn by themselves before a stage takes them: two from nothing, the others
# from what the extractor before had made of it.
ENCODERS = {
    "tsenet_small_voices": "voices_small",
    "tsenet_small_judged": "voices_small_longer",
    "tsenet_small_steady": "voices_small_again",
    "tsenet_small_leftover": "voices_small_leftover",
    "tsenet_small_manners": "voices_small_manners",
    "tsenet_small_pair": "voices_small_taught",
}
SEPARATORS = (
    *("mitas_small", "mitas_small_longer", "mitas_small_muon", "mitas_small_steady"),
    *("mitas_small_onward", "mitas_small_further", "mitas_small_beyond"),
)
BEFORE = {name: row[:i] for row in (EXTRACTORS, SEPARATORS) for i, name in enumerate(row)}
NEW = ("voices_small", "voices_small_taught")  # encoders that go on from nothing
BEFORE |= {name: BEFORE[stage] for stage, name in ENCODERS.items() if name not in NEW}
BEFORE["voices_small_manners"] = ("voices_small_again",)  # as it was before it heard leftovers


def runs_of(name: str) -> tuple[str, ...]:
    """All that an extractor or a separator was made by, itself last."""
    stages = (*BEFORE[name], name)
    return tuple(run for stage in stages for run in (ENCODERS.get(stage), stage) if run)
