"""What a comparison of arms publishes: every run's scores, and what they say of each arm against the baseline.

A gain is how much better an arm is than the baseline, whatever the direction of the score.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published
from tasks.evaluation.published import Interval, Test
from tasks.evaluation.tasks.item import Direction

Adjustment = Literal["holm", "westfall_young"]


class ArmRun(Model):
    """One run: its arm and seed, what it was trained with, and its scores by name."""

    arm: str
    seed: NonNegativeInt
    tokens: PositiveInt
    flops: PositiveInt
    device: str
    instruction_set: str
    scores: Mapping[str, float]


class SecondaryScore(Model):
    """A score that makes no claim: its mean gain, p-value, and that adjusted for all secondary scores of all arms.

    `screening` is adjusted for the rate of false findings (Benjamini and Hochberg): it says where to look.
    """

    gain: float
    p: float
    adjusted: float
    screening: float


class ArmComparison(Interval):
    """An arm against the baseline by the primary score: mean gain over seeds with its interval.

    `adjusted` is the p-value of the gain adjusted by Holm for all arms; a claim needs it below 1 - confidence.
    `detectable` is the gain that would have been found in four of five such comparisons.
    """

    arm: str
    claim: bool
    test: Test
    adjusted: float | None
    detectable: float | None
    differences: tuple[float, ...]
    statement: str
    secondary: Mapping[str, SecondaryScore]


class ArmsComparison(Published):
    """All arms; `domains` are those of the common pool, `directions` say whether more of a score is better."""

    FILE: ClassVar[str] = "arms.json"

    format: Literal[1] = 1
    baseline: str
    primary: str
    confidence: float
    adjustment: Adjustment
    directions: Mapping[str, Direction]
    runs: tuple[ArmRun, ...]
    comparisons: tuple[ArmComparison, ...]
