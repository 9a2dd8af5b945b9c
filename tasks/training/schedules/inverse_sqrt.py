"""The inverse square root of the step (arXiv 1706.03762): no horizon, so that a run can go on for as long as one likes."""

from collections.abc import Iterator
from math import sqrt
from typing import Literal

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.schedules.span import Span


class InverseSqrt(Params):
    """sqrt(s / (s + k)) in the k-th step behind the warm-up. With s = the warm-up this is sqrt(warm-up / step)."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    timescale_steps: PositiveInt | None = Field(default=None, description="s; null = the steps of the warm-up")


def share(config: InverseSqrt, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    timescale = config.timescale_steps or span.warmup_steps
    return sqrt(timescale / (timescale + max(0, step + 1 - span.warmup_steps)))


def mistakes(config: InverseSqrt, span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    if config.timescale_steps is None and not span.warmup_steps:
        yield "the schedule inverse_sqrt has no warm-up to take its timescale from; set timescale_steps or warmup_steps"
    if span.warmup_steps > span.num_steps:
        yield f"warmup_steps {span.warmup_steps} are more than the {span.num_steps} steps; lower them or raise num_tokens"
