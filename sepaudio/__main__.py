"""`python -m sepaudio` is the command line."""

from .cli import main

main()
