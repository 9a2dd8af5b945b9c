"""Steps that are left out: the loss or its gradient stands far above what it was (OLMo-core's `SkipStepOptimizer`)."""

from collections.abc import Sequence
from math import fsum, sqrt

from pydantic import Field, PositiveFloat

from tasks.core.params import Params


class SkipSpikes(Params):
    """Leave a step out when its loss or gradient norm is above the mean of those before by so many standard deviations.

    Weights and the optimizer's state stay as they were; the samples count as consumed. Nothing is left out before half a
    window of steps is there. A loss that is not finite ends the run all the same.
    """

    window_steps: int = Field(default=128, ge=8, description="steps before this one that it is compared with, at most")
    standard_deviations: PositiveFloat = 6.0


def is_spike(config: SkipSpikes, losses: Sequence[float], norms: Sequence[float]) -> bool:
    """Return whether the last of the steps made, with these losses and gradient norms, is to be left out.

    A function of what was recorded, those of skipped steps included: a run that goes on from a checkpoint decides alike.
    """
    return any(_stands_out(config, values[-config.window_steps - 1 :]) for values in (losses, norms))


def skipped_steps(config: SkipSpikes | None, losses: Sequence[float], norms: Sequence[float]) -> tuple[int, ...]:
    """Return the steps of a run that were left out, counted from 0."""
    if config is None:
        return ()
    windows = [slice(max(0, step - config.window_steps), step + 1) for step in range(len(losses))]
    return tuple(step for step, seen in enumerate(windows) if is_spike(config, losses[seen], norms[seen]))


def _stands_out(config: SkipSpikes, values: Sequence[float]) -> bool:
    if len(values) < config.window_steps // 2:
        return False
    *before, last = values
    # Summed exactly, so that the decision depends on nothing but the numbers.
    mean = fsum(before) / len(before)
    spread = sqrt(fsum((value - mean) ** 2 for value in before) / (len(before) - 1))
    return last - mean > config.standard_deviations * spread
