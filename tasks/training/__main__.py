"""`python -m tasks.training` is `mixwright train`."""

from tasks.core.command import main

if __name__ == "__main__":
    main("train")
