"""`python -m tasks.report` is `mixwright report`."""

from tasks.core.command import main

if __name__ == "__main__":
    main("report")
