"""`python -m tasks.mixture`: the stage `search` on its own."""

from tasks.core.command import stage_command
from tasks.mixture.config import SearchParams
from tasks.mixture.stage import run
from tasks.training.command import proxy_precision

main = stage_command(
    "search",
    SearchParams,
    run,
    inputs=("tokenize",),
    decide=lambda params: params.decided(proxy_precision()),
)

if __name__ == "__main__":
    main()
