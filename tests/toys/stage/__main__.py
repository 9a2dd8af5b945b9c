"""`python -m tasks.toy` is `mixwright toy`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("toy")
