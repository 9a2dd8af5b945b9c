"""`python -m tasks.mixture`: the stage `search` on its own."""

from tasks.core.command import stage_command
from tasks.mixture.config import SearchParams
from tasks.mixture.stage import run

main = stage_command("search", SearchParams, run, inputs=("tokenize",))

if __name__ == "__main__":
    main()
