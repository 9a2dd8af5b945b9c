"""What others may read of the guard: what it said of each run at each of its evaluations."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from tasks.core.published import Model, Published

# `unknown`: too few evaluations for a law. `broken_before`: the start itself is beyond the tolerance.
State = Literal["within", "will_break", "broken", "broken_before", "unknown"]


class GuardVerdict(Model):
    """What is known behind a step: `ratio` is the share of the new domains in the `tokens` since the run began.

    `predicted` is the loss at the end of the run, by the `law` of this run's tokens at its one ratio, or by that of tokens
    and ratio (cmr) where several ratios are known. `breaks_at_tokens` is where it passes the limit. With cmr
    `critical_ratio` is the largest that keeps it within the limit to the end, and `proposed_ratio` what that leaves for
    the tokens to come.
    """

    step: PositiveInt
    tokens: PositiveInt
    ratio: NonNegativeFloat
    loss: PositiveFloat
    state: State
    law: Literal["tokens", "cmr"] | None = None
    predicted: float | None = None
    lower: float | None = None
    upper: float | None = None
    breaks_at_tokens: PositiveInt | None = None
    critical_ratio: NonNegativeFloat | None = None
    critical_lower: NonNegativeFloat | None = None
    critical_upper: NonNegativeFloat | None = None
    proposed_ratio: NonNegativeFloat | None = None


class GuardedRun(Model):
    """A run: the weights of the earlier `domains`, their loss before its first step, and what it may not pass."""

    run: str
    mixture: str
    seed: NonNegativeInt
    domains: Mapping[str, PositiveFloat] = Field(min_length=1)
    before: PositiveFloat
    limit: PositiveFloat
    verdicts: tuple[GuardVerdict, ...]


class Guard(Published):
    """What the guard of a train stage said; `start` is the digest of what its runs began with, null for new weights."""

    FILE: ClassVar[str] = "guard.json"

    format: Literal[1] = 1
    tolerance: PositiveFloat
    confidence: PositiveFloat
    start: str | None
    runs: tuple[GuardedRun, ...] = Field(min_length=1)
