"""`python -m tasks.evaluation`: the stage `evaluate` on its own."""

from tasks.core.command import stage_command
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.stage import run

main = stage_command("evaluate", EvaluateParams, run, inputs=("tokenize", "search", "train"))

if __name__ == "__main__":
    main()
