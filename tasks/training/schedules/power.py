"""The power scheduler (arXiv 2408.13359): a rate that depends on tokens and batch and not on the horizon, then a decay."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, NegativeFloat, PositiveFloat

from tasks.core.params import Params
from tasks.training.schedules.span import DecayShape, Span, decay_mistakes, decayed


class Power(Params):
    """min(peak, B a n^b): B sequences in a step, n tokens seen, this step's included; then down over the last steps.

    a and b are the paper's, fitted with muP on models of 12M to 121M; for other models they are a start of a search.
    """

    kind: Literal["power"] = "power"
    amplitude: PositiveFloat = Field(default=4.6, description="a")
    exponent: NegativeFloat = Field(default=-0.51, description="b")
    decay_fraction: float = Field(
        default=0.1, ge=0, le=1, description="last part of the steps, in which the rate falls"
    )
    decay_shape: DecayShape = "linear"


def share(config: Power, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    decay_steps, left = round(config.decay_fraction * span.num_steps), span.num_steps - step
    if left > decay_steps:
        return _law(config, span, step)
    return _law(config, span, span.num_steps - decay_steps) * decayed(left, decay_steps, config.decay_shape)


def mistakes(config: Power, span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    yield from decay_mistakes(span.warmup_steps, config.decay_fraction, span.num_steps)


def _law(config: Power, span: Span, step: int) -> float:
    tokens = (span.steps_before + step + 1) * span.tokens_per_step
    return min(1.0, span.sequences_per_step * config.amplitude * float(tokens**config.exponent) / span.peak)
