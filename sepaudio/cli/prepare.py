"""`sepaudio prepare ivector MANIFEST.csv -o FOLDER key=value ...`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal


def run(arguments: list[str]) -> int:
    """Make an i-vector front-end and print its folder."""
    from jsonargparse import ArgumentParser

    from ..verbs.prepare import PrepareCfg

    keys = ", ".join(f"{key}={value}" for key, value in vars(PrepareCfg()).items())
    parser = ArgumentParser(
        prog="sepaudio prepare",
        description="Fit an i-vector speaker front-end to the speech of manifests (CSV with path, "
        "kind, license, source, split). Values are given as key=value anywhere; their defaults: "
        f"{keys}.",
    )
    parser.add_argument("what", type=Literal["ivector"], help="ivector")
    parser.add_argument("manifests", nargs="+", help="CSV files")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    values = [x for x in arguments if re.match(r"\w+=", x) and not Path(x).exists()]
    options = parser.parse_args([x for x in arguments if x not in values])
    from ..verbs import prepare as verb

    cfg = verb.read_overrides(values)
    print(verb.prepare_ivector(options.manifests, options.output, cfg, quiet=options.quiet))
    return 0
