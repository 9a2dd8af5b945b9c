"""Changes of the schedule on the way: a second warm-up, and a decay that begins wherever one likes."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.training.schedules.kinds import ScheduleConfig
from tasks.training.schedules.span import DecayShape


class Rewarm(Params):
    """From a step on, warm up again and follow a schedule over the steps that are left (arXiv 2308.04014, 2403.08763).

    What training on new data begins with: the rate rises from where it was to the peak, and a schedule follows.
    """

    step: PositiveInt = Field(description="the first step of the new warm-up, counted from 0")
    warmup_steps: NonNegativeInt
    peak_fraction: PositiveFloat = Field(default=1.0, le=1e9, description="of learning_rate, reached by the warm-up")
    schedule: ScheduleConfig


class DecayFrom(Params):
    """From a step on, the rate falls from what it is, over all steps that are left, whatever the schedule says.

    This is how a branch ends that leaves a trunk at any step: up to the step its rates are the trunk's.
    """

    step: PositiveInt = Field(description="the first step of the decay, counted from 0")
    trunk_steps: PositiveInt | None = Field(
        default=None, description="steps of the run that is left, by which its schedule counts; null = this run's"
    )
    decay_shape: DecayShape = "linear"
    final_fraction: float | None = Field(default=None, gt=0, lt=1, description="of that rate, at the end; null = 0")
