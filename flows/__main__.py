"""`python -m flows` is `mixwright`."""

from flows.cli import main

main(prog_name="mixwright")
