"""`python -m tasks.report` is `mixwright report`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("report")
