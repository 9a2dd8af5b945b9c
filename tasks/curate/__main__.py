"""`python -m tasks.curate` is `mixwright curate`."""

from tasks.core.command import main

if __name__ == "__main__":
    main("curate")
