"""`sepaudio doctor`: one line per known trap of an installation."""

from __future__ import annotations


def run(arguments: list[str]) -> int:
    """Print the checks; 1 when one of them fails."""
    from jsonargparse import ArgumentParser
    from rich.markup import escape
    from rich.table import Table

    from ..verbs.doctor import doctor
    from . import console

    parser = ArgumentParser(prog="sepaudio doctor", description="Check this installation.")
    parser.parse_args(arguments)
    table = Table("", "what", "found", "remedy", box=None, pad_edge=False)
    checks = doctor()
    marks = {True: "[green]ok[/green]", False: "[red]no[/red]", None: "-"}
    for check in checks:
        remedy = "" if check.ok else escape(check.remedy)
        table.add_row(marks[check.ok], escape(check.name), escape(check.found), remedy)
    console().print(table)
    return 1 if any(check.ok is False for check in checks) else 0
