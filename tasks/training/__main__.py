"""`python -m tasks.training`: the train stage on its own."""

from tasks.core.command import stage_command
from tasks.training.config import TrainParams
from tasks.training.stage import run

main = stage_command("train", TrainParams, run, inputs=("tokenize", "search"))

if __name__ == "__main__":
    main()
