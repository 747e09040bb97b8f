"""`sepaudio prepare ivector MANIFEST.csv -o FOLDER key=value ...`."""

from __future__ import annotations

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
        f"kind, license, source, split). Values and their defaults: {keys}.",
    )
    parser.add_argument("what", type=Literal["ivector"], help="ivector")
    parser.add_argument(
        "manifests", nargs="+", help="CSV files, and key=value, such as components=128"
    )
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    from ..verbs import prepare as verb

    overrides = [x for x in options.manifests if "=" in x and not Path(x).exists()]
    manifests = [x for x in options.manifests if x not in overrides]
    if not manifests:
        parser.error("expected at least one manifest (CSV)")
    cfg = verb.read_overrides(overrides)
    print(verb.prepare_ivector(manifests, options.output, cfg, quiet=options.quiet))
    return 0
