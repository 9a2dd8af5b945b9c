"""All ways to spread one model over devices: the union of their configs, and the one place that chooses a function."""

from typing import TYPE_CHECKING, Annotated, assert_never

from pydantic import Field

from tasks.training.parallel import ddp, fsdp
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp

if TYPE_CHECKING:
    from tasks.tokenize.pool import TokenPool
    from tasks.training.parallel.job import Job
    from tasks.training.result import RunResult
    from tasks.training.types import RunSpec

ParallelKind = Annotated[Ddp | Fsdp, Field(discriminator="kind")]


def train_spread(config: ParallelKind, spec: "RunSpec", pool: "TokenPool", job: "Job") -> "RunResult":
    """Train a run as one model over many devices."""
    match config:
        case Ddp():
            return ddp.train(spec, pool, job)
        case Fsdp():
            return fsdp.train(spec, pool, job)
        case _:
            assert_never(config)
