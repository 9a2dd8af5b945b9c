"""`python -m tasks.comparison`: methods of search against each other on one pool."""

from tasks.comparison.config import ComparisonParams
from tasks.comparison.stage import STAGE, run
from tasks.core.command import stage_command

main = stage_command(STAGE, ComparisonParams, run, inputs=("tokenize",))

if __name__ == "__main__":
    main()
