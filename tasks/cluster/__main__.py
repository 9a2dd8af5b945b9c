"""`python -m tasks.cluster` is `mixwright cluster`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("cluster")
