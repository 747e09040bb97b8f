"""Which systems of the surveys exist here, how each is checked, and the README's table of them.

    python tests/coverage_table.py    # writes the table into README.md

`coverage.csv` has a row per check of a system: its number in the surveys, its name, whether it is
ours ("own"), comes through timm ("door"), is still to be built ("later") or needs nothing built
("none"), the registered names or the reason, the kind of check, and the test.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- coverage -->", "<!-- end coverage -->"
HOW = {"own": "ours", "door": "door", "later": "not yet", "none": "–"}
NUMBERS = range(1, 109)  # of the systems in the surveys


@dataclass(frozen=True)
class Check:
    """One row of coverage.csv."""

    row: int
    system: str
    how: str
    names: str
    check: str
    test: str


def checks() -> list[Check]:
    """All rows, by number; what is ours first."""
    with (HERE / "coverage.csv").open(encoding="utf-8", newline="") as file:
        found = [Check(int(row.pop("row")), **row) for row in csv.DictReader(file)]
    return sorted(found, key=lambda check: (check.row, list(HOW).index(check.how)))


def table() -> str:
    """The README's table: a line for every number."""
    lines = ["| # | system | how | names, or why not | checks |", "| --- " * 5 + "|"]
    for number, group in groupby(checks(), key=lambda check: check.row):
        here = list(group)
        names = dict.fromkeys(n for c in here if c.how in ("own", "door") for n in c.names.split())
        told = ", ".join(f"`{name}`" for name in names)
        reasons = dict.fromkeys(
            c.names if c.system == here[0].system else f"{c.system}: {c.names}"
            for c in here
            if c.how in ("later", "none") and c.names
        )
        told = "; ".join(filter(None, (told, *reasons)))
        kinds = ", ".join(dict.fromkeys(c.check for c in here if c.check))
        how = ", ".join(dict.fromkeys(HOW[c.how] for c in here))
        lines.append(f"| {number} | {here[0].system} | {how} | {told} | {kinds} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """A README with the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
