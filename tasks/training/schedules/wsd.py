"""Warm-up, stable, decay (WSD, arXiv 2404.06395): the rate stays at its peak and falls over the last steps."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from tasks.core.params import Params
from tasks.training.schedules.span import DecayShape, Span, decay_mistakes, decayed


class Wsd(Params):
    """Flat, then down over the last part of the steps. Without a decay it is a constant rate."""

    kind: Literal["wsd"] = "wsd"
    decay_fraction: float = Field(
        default=0.4, ge=0, le=1, description="last part of the steps, in which the rate falls"
    )
    decay_shape: DecayShape = Field(default="linear", description="1-sqrt falls faster at first")
    final_fraction: float | None = Field(default=None, gt=0, lt=1, description="of the peak, at the end; null = 0")


def share(config: Wsd, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    decay_steps, left = round(config.decay_fraction * span.num_steps), span.num_steps - step
    if left > decay_steps:
        return 1.0
    return decayed(left, decay_steps, config.decay_shape, config.final_fraction or 0.0)


def mistakes(config: Wsd, span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    yield from decay_mistakes(span.warmup_steps, config.decay_fraction, span.num_steps)
