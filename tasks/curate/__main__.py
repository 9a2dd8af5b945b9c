"""`python -m tasks.curate` is `mixwright curate`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("curate")
