"""`sepaudio compress MODEL RECIPE -o FOLDER --prune 0.5 --bits 4 key=value ...`."""

from __future__ import annotations

from . import key_values


def run(arguments: list[str]) -> int:
    """Compress and print the folder of the packed model."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="sepaudio compress",
        description="Make a trained model smaller. After each step it learns on by the recipe, "
        "best with fewer steps and a smaller rate than before: optim.steps=400 optim.lr=1e-3. A "
        "call that was killed goes on when it is called again.",
    )
    parser.add_argument("model", help="name of weights, or a model folder")
    parser.add_argument("recipe", help="YAML file that it learns on by")
    parser.add_argument("more", nargs="*", help="key=value, such as optim.steps=400")
    parser.add_argument("--prune", type=float, default=0.0, help="share of the weights to drop")
    parser.add_argument("--bits", type=int, default=0, help="2^BITS values a tensor, up to 8")
    parser.add_argument(
        "--low-rank", type=float, default=0.0, help="share of the energy of each matrix to keep"
    )
    parser.add_argument("-o", "--output", required=True, help="folder of the runs and of model/")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    values, others = key_values(arguments)
    options = parser.parse_args(others)
    from ..verbs.compress import compress

    made = compress(
        options.recipe,
        options.model,
        [*options.more, *values],
        low_rank=options.low_rank,
        prune=options.prune,
        bits=options.bits,
        output=options.output,
        quiet=options.quiet,
    )
    print(made)
    return 0
