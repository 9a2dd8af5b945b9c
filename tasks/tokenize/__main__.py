"""`python -m tasks.tokenize` is `mixwright tokenize`."""

from tasks.runtime.command import main

if __name__ == "__main__":
    main("tokenize")
