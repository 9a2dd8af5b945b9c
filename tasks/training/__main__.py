"""`python -m tasks.training`: the train stage on its own."""

from tasks.core.command import stage_command
from tasks.training.command import full_precision
from tasks.training.config import TrainParams
from tasks.training.stage import run

main = stage_command(
    "train",
    TrainParams,
    run,
    inputs=("tokenize", "search"),
    decide=lambda params: params.decided(full_precision()),
)

if __name__ == "__main__":
    main()
