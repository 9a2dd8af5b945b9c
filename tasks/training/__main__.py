"""`python -m tasks.training` is `mixwright train`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("train")
