"""`python -m tasks.tokenize`: the tokenize stage on its own."""

from tasks.core.command import stage_command
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.stage import run

main = stage_command("tokenize", TokenizeParams, run, inputs=("curate", "cluster"))

if __name__ == "__main__":
    main()
