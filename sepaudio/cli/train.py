"""`sepaudio train RECIPE key=value ...`."""

from __future__ import annotations


def run(arguments: list[str]) -> int:
    """Train and print the model folder."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="sepaudio train",
        description="Train what a recipe says. A run that was killed goes on when it is called "
        "again.",
    )
    parser.add_argument("recipe", help="YAML file")
    parser.add_argument("overrides", nargs="*", help="key=value, such as optim.lr=1e-3")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="folder of the run")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    from ..verbs.train import train

    print(train(options.recipe, options.overrides, output=options.output, quiet=options.quiet))
    return 0
