"""What a schedule knows of the run, or the part of a run, that it rules; and how a rate falls at the end of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

DecayShape = Literal["linear", "1-sqrt"]


@dataclass(frozen=True)
class Span:
    """Steps that one schedule rules: how many, of which the first rise, and what comes before and in a step.

    `peak` is the learning rate that a schedule gives shares of. `steps_before` are those of the run before this part.
    """

    num_steps: int
    warmup_steps: int
    peak: float
    sequences_per_step: int
    tokens_per_step: int
    steps_before: int = 0


def decayed(left: int, num_steps: int, shape: DecayShape = "linear", final: float = 0.0) -> float:
    """Return what is left of a rate in a decay of `num_steps`, when `left` of them, this one included, are to be made.

    It goes from 1 to `final`: 1 at the step before the first and `final` at the one after the last, so that no step is
    spent on a rate of 0. `1-sqrt` is 1 - sqrt(x) of the part x that is through (arXiv 2405.18392).

    >>> [decayed(left, 3) for left in (3, 2, 1)]
    [0.75, 0.5, 0.25]
    """
    straight = left / (num_steps + 1)
    return final + (1 - final) * (straight if shape == "linear" else 1 - sqrt(1 - straight))


def decay_mistakes(warmup_steps: int, decay_fraction: float, num_steps: int) -> Iterator[str]:
    """Yield why a warm-up and a decay over the last part of the steps do not fit into them."""
    if warmup_steps + decay_fraction * num_steps > num_steps:
        yield (
            f"warmup_steps {warmup_steps} and decay_fraction {decay_fraction} do not "
            f"fit into {num_steps} steps; lower one of them or raise num_tokens"
        )
    if decay_fraction and not round(decay_fraction * num_steps):
        yield (
            f"decay_fraction {decay_fraction} of {num_steps} step(s) is a decay of 0 steps; "
            "set it to 0, or raise num_tokens"
        )
