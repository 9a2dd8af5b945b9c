"""One training run from start to end, by the engine that its config asks for."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from tasks.core.results import never
from tasks.tokenize.pool import TokenPool
from tasks.training.parallel.job import Job, unheard
from tasks.training.parallel.kinds import train_spread
from tasks.training.result import RunResult
from tasks.training.stacked import Heard, train_stacked
from tasks.training.types import DivergedError, Phase, RunSpec, StepNumbers, World

__all__ = ["Phase", "RunResult", "RunSpec", "World", "train"]

OnStep = Callable[[int, StepNumbers], None]


def train(
    spec: RunSpec,
    pool: TokenPool,
    *,
    checkpoints: Path | None = None,
    initial: Mapping[str, Tensor] | None = None,
    world: World = World(),  # noqa: B008 (frozen)
    device: str = "cpu",
    on_step: OnStep | None = None,
    asked_to_stop: Callable[[], bool] = never,
) -> RunResult:
    """Train a model as the spec says, on the pool's `train` split; the same spec and pool give the same weights.

    It is a stack of one, to the same bits for any number of workers, or, if the config says `parallel`, one model spread
    over the workers' devices, to the same bits for the same number of them.

    With a folder for `checkpoints` a killed run goes on from its last one when called again, to the same bits.
    Of several workers only the first needs it: it tells the others. `initial` are the weights to begin with by name, on
    every worker, with the optimizer's state where the spec has `optimizer_steps`; None = new ones, drawn from the seed.
    `on_step` hears (steps made, numbers of the last).

    Raises:
        ConfigError: the spec does not fit the pool: weights, caps, whole samples; before the first step.
        DivergedError: the loss is not finite.
        StoppedError: `asked_to_stop` was true before a step; a checkpoint of it is kept.
    """
    if (parallel := spec.training.engine) is not None:
        job = Job(checkpoints, initial, world, device, on_step or unheard, asked_to_stop)
        return train_spread(parallel, spec, pool, job)

    def heard(step: int, numbers: Heard) -> None:
        if on_step is not None and numbers[0] is not None:
            on_step(step, numbers[0])

    folders = None if checkpoints is None else [checkpoints]
    (ended,) = train_stacked(
        [spec],
        pool,
        checkpoints=folders,
        initial=initial,
        device=device,
        world=world,
        on_step=heard,
        asked_to_stop=asked_to_stop,
    )
    if isinstance(ended, DivergedError):
        raise ended
    return ended
