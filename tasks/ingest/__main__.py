"""`python -m tasks.ingest` is `mixwright ingest`."""

from tasks.core.command import main

if __name__ == "__main__":
    main("ingest")
