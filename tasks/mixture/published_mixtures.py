"""What a search publishes of mixtures that could become the recipe, and of those that were run again.

Objectives: lower is better. Gains are over natural, in the objective's unit: higher is better.
"""

from statistics import fmean
from typing import Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, model_validator

from tasks.core.published import Model
from tasks.mixture.published import Weights

MixtureSource = Literal["natural", "uniform", "unimax", "measured", "predicted"]
Role = Literal["natural", "best measured", "candidate"]
ConfirmationVerdict = Literal["ship candidate", "ship best measured", "keep natural"]


class MixtureOrigin(Model):
    """Where a mixture comes from: a baseline, the run that measured it (`run`, of runs.csv), or a prediction alone."""

    source: MixtureSource
    run: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _names_its_run(self) -> Self:
        if (self.source == "measured") != (self.run is not None):
            raise ValueError("a measured mixture names its run, and no other does")
        return self

    @property
    def name(self) -> str:
        """What people call it."""
        if self.run is not None:
            return f"run {self.run}"
        return "predicted best" if self.source == "predicted" else self.source


class Candidate(MixtureOrigin):
    """A mixture that could become the recipe: `score` = gain - caution x gain_sd - penalty.

    `measured` is the run's own objective, None for a mixture that was only predicted.
    """

    weights: Weights
    measured: float | None
    predicted: float
    gain: float
    gain_sd: NonNegativeFloat
    score: float


class ChosenMixture(MixtureOrigin):
    """Which mixture became the recipe, and why it and no other."""

    reason: str


class Contender(MixtureOrigin):
    """A mixture that was run again; `gain` over natural and its `gain_sd` as predicted, in the objective's unit."""

    role: Role
    weights: Weights
    gain: float
    gain_sd: NonNegativeFloat


class GainInterval(Model):
    """How much lower the objective is than another mixture's, with its simultaneous interval."""

    mean: float
    lower: float
    upper: float


class ConfirmedContender(Model):
    """A contender and what it measured: its objective with each seed, and its gain over natural and the best measured.

    `z` is measured minus predicted gain over natural, in standard deviations of prediction and noise together.
    `broken_constraints` names the held-out sets that lose more than they may.
    """

    contender: Contender
    objectives: tuple[float, ...]
    over_natural: GainInterval | None
    over_best: GainInterval | None
    z: float | None
    broken_constraints: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """The objective's mean over seeds."""
        return fmean(self.objectives)

    @property
    def beats_natural(self) -> bool:
        """Whether the interval of the gain over natural excludes 0."""
        return self.over_natural is not None and self.over_natural.lower > 0

    @property
    def beats_best(self) -> bool:
        """Whether the interval of the gain over the best measured excludes 0; nothing to beat is beaten."""
        return self.over_best is None or self.over_best.lower > 0


class Confirmation(Model):
    """What fresh seeds said and which mixture ships. `claim`: it is shown to beat natural.

    `rows` begin with natural. `noise_sd` is of one run: among runs with its seed where the comparison is `paired`, among
    all runs of its mixture where runs with one seed were made with different instruction sets.
    """

    shipped: Contender
    verdict: ConfirmationVerdict
    claim: bool
    confidence: float
    seeds: tuple[int, ...]
    paired: bool
    noise_sd: NonNegativeFloat
    degrees_of_freedom: int
    rows: tuple[ConfirmedContender, ...]
    statement: str
