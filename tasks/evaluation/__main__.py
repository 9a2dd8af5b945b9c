"""`python -m tasks.evaluation` is `mixwright evaluate`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("evaluate")
