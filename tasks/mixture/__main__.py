"""`python -m tasks.mixture`: the stage `search` on its own."""

from tasks.core.command import stage_command, stage_params
from tasks.mixture.config import SearchParams
from tasks.mixture.stage import run
from tasks.training.command import proxy_precision
from tasks.training.config import TrainParams

main = stage_command(
    "search",
    SearchParams,
    run,
    inputs=("tokenize",),
    complete=lambda params, file: params.aimed_at(stage_params("train", TrainParams, file, ()).training),
    decide=lambda params: params.decided(proxy_precision()),
)

if __name__ == "__main__":
    main()
