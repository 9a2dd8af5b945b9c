"""Where a run is worked on, and who hears of it: placement, apart from the weights it begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.results import never
from tasks.training.types import StepNumbers, World

if TYPE_CHECKING:
    from torch import Tensor


def unheard(step: int, numbers: StepNumbers) -> None:
    """Hear the numbers of a step, and tell nobody."""


@dataclass(frozen=True)
class Job:
    """What an engine is told besides the run itself.

    Only the first process of the `world` needs `checkpoints` and is `asked_to_stop`; all hear `on_step(steps, numbers)`.
    `initial` are the weights to begin with, on every process, with the optimizer's state where the spec has
    `optimizer_steps`; None = new ones, drawn from the seed.
    """

    checkpoints: Path | None = None
    initial: "Mapping[str, Tensor] | None" = None
    world: World = World()  # noqa: RUF009 (frozen)
    device: str = "cpu"
    on_step: Callable[[int, StepNumbers], None] = unheard
    asked_to_stop: Callable[[], bool] = never
