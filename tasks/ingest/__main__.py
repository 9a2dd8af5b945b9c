"""`python -m tasks.ingest` is `mixwright ingest`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("ingest")
