"""`python -m tasks.mixture` is `mixwright search`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("search")
