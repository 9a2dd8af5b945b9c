"""The infinite schedule (arXiv 2403.08763): a cooldown to a constant rate that can be held for ever, and a short anneal.

The trunk of a model that is trained on is held at the constant rate; a release is a branch with an anneal.
"""

from collections.abc import Iterator
from math import cos, pi, sqrt
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.params import Params
from tasks.training.schedules.span import Span


class Infinite(Params):
    """Behind the warm-up: a cooldown to `constant_fraction` of the peak, that rate, and an exponential anneal at the end.

    The inverse square root is h(x) = 1 / sqrt(1 + a x), stretched to end at the constant rate. The paper's a was not
    checked: 8 is a guess.
    """

    kind: Literal["infinite"] = "infinite"
    cooldown: Literal["cosine", "inverse_sqrt"] = "cosine"
    cooldown_steps: PositiveInt
    constant_fraction: float = Field(default=0.5, gt=0, le=1, description="of the peak")
    anneal_steps: NonNegativeInt = Field(default=0, description="the last steps; 0 = the run ends at the constant rate")
    final_fraction: float = Field(default=0.01, gt=0, lt=1, description="of the peak, at the end of the anneal")
    curvature: float = Field(default=8.0, ge=1e-6, description="a, of the inverse square root")


def share(config: Infinite, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    constant, left = config.constant_fraction, span.num_steps - step
    if left <= config.anneal_steps:
        through = (config.anneal_steps + 1 - left) / (config.anneal_steps + 1)
        return float(constant * (config.final_fraction / constant) ** through)
    through = min(1.0, max(0, step - span.warmup_steps) / config.cooldown_steps)
    return constant + (1 - constant) * _above(config, through)


def mistakes(config: Infinite, span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    asked = span.warmup_steps + config.cooldown_steps + config.anneal_steps
    if asked > span.num_steps:
        yield (
            f"warmup_steps {span.warmup_steps}, cooldown_steps {config.cooldown_steps} and anneal_steps "
            f"{config.anneal_steps} are more than the {span.num_steps} steps; lower them or raise num_tokens"
        )
    if config.final_fraction > config.constant_fraction:
        yield f"final_fraction {config.final_fraction} is above constant_fraction {config.constant_fraction}"


def _above(config: Infinite, through: float) -> float:
    """Return what of the way from the peak down to the constant rate is left, 1 to 0."""
    if config.cooldown == "cosine":
        return (1 + cos(pi * through)) / 2
    end = 1 / sqrt(1 + config.curvature)
    return (1 / sqrt(1 + config.curvature * through) - end) / (1 - end)
