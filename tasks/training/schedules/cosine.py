"""Half a cosine (arXiv 1608.03983, without restarts): from the peak behind the warm-up to a fraction of it."""

from collections.abc import Iterator
from math import cos, pi
from typing import Literal

from pydantic import Field

from tasks.core.params import Params
from tasks.training.schedules.span import Span


class Cosine(Params):
    """f + (1 - f) (1 + cos(pi x)) / 2, where x is the part of the steps behind the warm-up that is through."""

    kind: Literal["cosine"] = "cosine"
    final_fraction: float = Field(default=0.1, ge=0, lt=1, description="f, of the peak, at the step after the last")


def share(config: Cosine, span: Span, step: int) -> float:
    """Return the share of the peak at a step of the span."""
    through = max(0, step - span.warmup_steps) / (span.num_steps - span.warmup_steps)
    return config.final_fraction + (1 - config.final_fraction) * (1 + cos(pi * through)) / 2


def mistakes(span: Span) -> Iterator[str]:
    """Yield what does not fit into the span."""
    if span.warmup_steps >= span.num_steps:
        yield (
            f"warmup_steps {span.warmup_steps} leave nothing of {span.num_steps} steps for the cosine; "
            "lower warmup_steps or raise num_tokens"
        )
