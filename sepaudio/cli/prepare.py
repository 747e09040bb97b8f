"""`sepaudio prepare check FILE.csv ...` and `sepaudio prepare ivector FILE.csv ... -o FOLDER`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from . import key_values

if TYPE_CHECKING:
    from ..verbs.prepare import CheckCfg


def run(arguments: list[str]) -> int:
    """Check manifests, or make an i-vector front-end and print its folder."""
    from jsonargparse import ArgumentParser

    from ..verbs import prepare as verb

    parser = ArgumentParser(
        prog="sepaudio prepare",
        description="check: name the bad rows of manifests and lists of mixtures, line by line; "
        f"values: {_keys(verb.CheckCfg())}. ivector: fit a speaker front-end to the speech of "
        "manifests (CSV with path, kind, license, source, split); values: "
        f"{_keys(verb.PrepareCfg())}. Values are given as key=value anywhere.",
    )
    parser.add_argument("what", type=Literal["check", "ivector"], help="check or ivector")
    parser.add_argument("manifests", nargs="+", help="CSV files")
    parser.add_argument(
        "-o", "--output", type=str | None, default=None, help="ivector: folder to write"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no warnings")
    values, others = key_values(arguments)
    options = parser.parse_args(others)
    if options.what == "check":
        cfg = verb.read_overrides(values, verb.CheckCfg)
        return _check(options.manifests, cfg, quiet=options.quiet)
    if options.output is None:
        parser.error("ivector needs -o: the folder to write")
    made = verb.read_overrides(values, verb.PrepareCfg)
    print(verb.prepare_ivector(options.manifests, options.output, made, quiet=options.quiet))
    return 0


def _check(paths: list[str], cfg: CheckCfg, *, quiet: bool) -> int:
    """Print what is wrong; 1 when anything is."""
    from ..verbs.prepare import check

    reports = check(paths, cfg)
    for path, report in reports.items():
        for problem in report.problems:
            print(f"{path}: {problem}")
        for warning in () if quiet else report.warnings:
            print(f"{path}: warning: {warning}")
        for key, hours in report.hours.items():
            print(f"{path}: {key}: {hours:.3f} h")
        for split, n in report.speakers.items():
            print(f"{path}: {split}: {n} speakers")
        print(f"{path}: {report.summary()}, {len(report.warnings)} warnings")
    return int(any(not report.fine for report in reports.values()))


def _keys(cfg: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in vars(cfg).items())
