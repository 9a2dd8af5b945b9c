"""A run's training loss on its way, as it is read at some shares of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from tasks.training.config import TrainingConfig
from tasks.training.schedules.rates import learning_rate

# Shares of a run at which its forecast is looked at again.
SHARES = (0.25, 0.5, 0.75, 0.95)
# Of all steps, before the one that is read: whose losses are averaged. Batches of a small model differ by more than the
# fall of its loss within so many steps, and the mean over them is the same part of the curve at every size.
_READ = 0.2
# Rates that differ by more at one share of the run are those of different schedules.
_SAME_RATE = 0.1


@dataclass(frozen=True)
class Reading:
    """The mean training loss around a step (nats per token), and the standard deviation of what the batches do to it."""

    loss: float
    sd: float


def read_curve(losses: Sequence[float]) -> tuple[Reading, ...]:
    """Return what a finished run's losses were at every one of `SHARES`.

    The mean of the fifth of the run before it; the noise of a step is that of neighbours' differences over
    sqrt(2), which no slope of the curve disturbs.
    """
    loss_T = np.asarray(losses, dtype=np.float64)
    return tuple(_reading(loss_T, share) for share in SHARES)


def step_at(share: float, num_steps: int) -> int:
    """Return how many steps are made when a share of the run is."""
    return min(max(round(share * num_steps), 1), num_steps)


def steps_read(share: float, num_steps: int) -> range:
    """Return the steps, from 0, whose losses are read at a share: all of them are made by then."""
    end = step_at(share, num_steps)
    return range(max(end - max(round(_READ * num_steps), 1), 0), end)


def rates_at(training: TrainingConfig) -> tuple[float, ...]:
    """Return the learning rate of a run at each of `SHARES`, of its peak."""
    steps = [step_at(share, training.num_steps) - 1 for share in SHARES]
    return tuple(learning_rate(training, step) / training.optimizer.learning_rate for step in steps)


def same_rate(one: float, other: float) -> bool:
    """Return whether two shares of a learning rate's peak are those of one schedule."""
    return abs(one - other) <= _SAME_RATE


def _reading(loss_T: "np.typing.NDArray[np.float64]", share: float) -> Reading:
    steps = steps_read(share, len(loss_T))
    read_T = loss_T[steps.start : steps.stop]
    step_sd = sqrt(float((np.diff(read_T) ** 2).mean()) / 2) if len(read_T) > 1 else 0.0
    return Reading(float(read_T.mean()), step_sd / sqrt(len(read_T)))
