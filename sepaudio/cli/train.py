"""`sepaudio train RECIPE [--init NAME] [--freeze PART ...] key=value ...`."""

from __future__ import annotations

from . import key_values


def run(arguments: list[str]) -> int:
    """Train and print the model folder."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="sepaudio train",
        description="Train what a recipe says. A run that was killed goes on when it is called "
        "again. Values of the recipe are changed by key=value anywhere, such as optim.lr=1e-3; "
        "data=FOLDER takes the recordings of a folder with a folder for every class, or speaker.",
    )
    parser.add_argument("recipe", help="YAML file")
    parser.add_argument("more", nargs="*", help="key=value, such as optim.lr=1e-3")
    parser.add_argument(
        "--init", default="", help="start from these weights: a name that ships, or a model folder"
    )
    parser.add_argument(
        "--freeze", nargs="+", default=[], help="parts that keep their weights, such as tcn encoder"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the data, tell disk and time, and stop"
    )
    parser.add_argument("-o", "--output", type=str | None, default=None, help="folder of the run")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    values, others = key_values(arguments)
    options = parser.parse_args(others)
    from ..verbs.train import rehearse, train

    said = {"init": options.init, "freeze": options.freeze, "output": options.output}
    changes = [*options.more, *values]
    if options.dry_run:
        print("\n".join(rehearse(options.recipe, changes, **said)))
    else:
        print(train(options.recipe, changes, **said, quiet=options.quiet))
    return 0
