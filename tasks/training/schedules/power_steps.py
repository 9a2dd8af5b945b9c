"""OLMo-core's variant of the power scheduler (its `PowerLR`): a power of the steps, beginning at the end of the warm-up."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, NegativeFloat

from tasks.core.params import Params
from tasks.training.schedules.span import DecayShape, Span, decay_mistakes, decayed


class PowerSteps(Params):
    """(t / warm-up)^b in step t behind the warm-up, then down over the last steps."""

    kind: Literal["power_steps"] = "power_steps"
    exponent: NegativeFloat = Field(default=-0.51, description="b")
    decay_fraction: float = Field(
        default=0.1, ge=0, le=1, description="last part of the steps, in which the rate falls"
    )
    decay_shape: DecayShape = "linear"


def share(config: PowerSteps, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    decay_steps, left = round(config.decay_fraction * span.num_steps), span.num_steps - step
    if left > decay_steps:
        return _law(config, span, step)
    return _law(config, span, span.num_steps - decay_steps) * decayed(left, decay_steps, config.decay_shape)


def mistakes(config: PowerSteps, span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    if not span.warmup_steps:
        yield "the schedule power_steps counts in warm-ups, and warmup_steps is 0; set it, or take the schedule power"
    yield from decay_mistakes(span.warmup_steps, config.decay_fraction, span.num_steps)


def _law(config: PowerSteps, span: Span, step: int) -> float:
    return float((max(step + 1, span.warmup_steps) / span.warmup_steps) ** config.exponent)
