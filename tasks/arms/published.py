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
    """One run: its arm and seed, what it was trained with, and its scores by name.

    An ensemble of several `models` has the seed of its first; `tokens` are those of each model, `flops` of all together.
    """

    arm: str
    seed: NonNegativeInt
    models: PositiveInt = 1
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


class GridFound(Model):
    """A grid of arms by the primary score: the mean over seeds of each cell, by its arm, and the best of them.

    `axes` are the names of the values on each axis. The best was chosen by what it is measured by, so its value is a little
    too good; `at_the_edge` are the axes on which it lies at an end, so that a better one may lie beyond.
    """

    grid: str
    axes: Mapping[str, tuple[str, ...]]
    values: Mapping[str, float]
    best: str
    at_the_edge: tuple[str, ...]
    statement: str


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
    grids: tuple[GridFound, ...] = ()

    @property
    def statements(self) -> list[str]:
        """All that is said of arms, then of grids."""
        return [*(one.statement for one in self.comparisons), *(one.statement for one in self.grids)]

    @property
    def remarks(self) -> list[str]:
        """What is to be known of how unlike the arms' cost is, in sentences."""
        tokens, models = ({getattr(run, name) for run in self.runs} for name in ("tokens", "models"))
        found = []
        if len(tokens) > 1:
            found.append(
                f"A model was trained on {min(tokens):,} to {max(tokens):,} tokens: the arms have their text in common, or "
                "their FLOPs, and not their tokens."
            )
        if models - {1}:
            found.append(
                "An arm of several models is an ensemble, measured by the mean of their probabilities. Each of its seeds "
                "has members of its own, of which the first is the single model with this seed; its FLOPs are those of all."
            )
        return found
