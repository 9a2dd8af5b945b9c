"""`python -m cli` is `mixwright`."""

from cli.main import main

main(prog_name="mixwright")
