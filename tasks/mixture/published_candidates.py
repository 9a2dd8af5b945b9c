"""What a search publishes of its evidence: every round, every candidate, and all that spoke for and against them.

Objectives and losses: lower is better. Gains are over natural, in the objective's unit: higher is better.
"""

from typing import ClassVar, Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, model_validator

from tasks.core.published import Model, Published
from tasks.mixture.published import Weights
from tasks.mixture.published_forecast import SizeGain, TransferVerdict
from tasks.mixture.published_mixtures import Candidate, ChosenMixture, Confirmation
from tasks.mixture.published_predictors import ChosenPredictor, HeldOutPrediction, PredictorScore, SelectedPredictor
from tasks.mixture.runs import LossUnit, RunKind

ProposalReason = Literal["improvement", "exploration", "random", "sampled", "optimum"]


class Correlation(Model):
    """Spearman's rank correlation of two sizes over `mixtures`, its interval, and what noise leaves possible.

    `ceiling` is what it would be on average if only noise were between the sizes; None where noise is not known at both.
    """

    rho: float
    lower: float
    upper: float
    mixtures: int
    ceiling: float | None


class MixtureAtTwoSizes(Model):
    """A mixture measured at both sizes: its objective, as the mean over seeds of its difference to natural puts it.

    `run` is the number of its first run at the small size; `top`: it is among the best there.
    """

    run: int
    weights: Weights
    small: float
    large: float
    top: bool


class Transfer(Model):
    """What was seen of mixtures at two sizes: their order, and the gain of the pick.

    `overall` is None where too few were sent to have an order, `top` where too few of the best were.
    """

    verdict: TransferVerdict
    overall: Correlation | None
    top: Correlation | None
    gains: tuple[SizeGain, SizeGain]
    mixtures: tuple[MixtureAtTwoSizes, ...]
    drift_per_efold: float
    statement: str


class Coupling(Model):
    """How a domain goes with a changed one: `similarity` of what they help (-1 to 1), and their `joint` effect (>= 0).

    `joint` is what both together do beyond the sum of each, as a share of what they do alone. A `coupled` domain is
    searched anew, the others keep their relative shares.
    """

    domain: str
    changed: str
    similarity: float
    joint: float
    coupled: bool

    @property
    def why(self) -> str:
        """The reason in words."""
        found = f"similarity {self.similarity:.2f}, joint effect {self.joint:.2f}"
        if not self.coupled:
            return f"{self.domain} keeps its relative share: not coupled with {self.changed} ({found})"
        return f"{self.domain} is searched anew: coupled with {self.changed} ({found})"


class Proposal(Model):
    """A mixture to measure, why, and what is predicted of it (objective; standard deviation without noise, if known).

    `moved` is how much weight had to go to other domains to keep what a released method asked for under the caps.
    """

    weights: Weights
    reason: ProposalReason
    predicted: float | None = None
    sd: float | None = None
    moved: NonNegativeFloat = 0.0


class Round(Model):
    """What a round of the strategy measured, and the predictor that it was proposed with, if the strategy has one."""

    round: int
    predictor: str | None
    selected: SelectedPredictor | None
    tried: tuple[PredictorScore, ...]
    couplings: tuple[Coupling, ...]
    proposals: tuple[Proposal, ...]


class TokenSupply(Model):
    """Tokens that each domain has: for the run that the recipe is for, and for a proxy (sub-sampled or not)."""

    target: tuple[NonNegativeInt, ...]
    proxy: tuple[NonNegativeInt, ...]


class Interactions(Model):
    """How much a larger share of a domain lowers the loss of each held-out set: rows are sets, columns are domains.

    In `unit` for a share that grows by `step`; a positive value is a loss that falls.
    """

    sets: tuple[str, ...]
    domains: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    unit: LossUnit
    step: float

    @property
    def unit_of_values(self) -> str:
        """What a value is of, for people."""
        return f"{self.unit} per +{self.step:g} of weight"

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        if [len(row) for row in self.values] != [len(self.domains)] * len(self.sets):
            raise ValueError(f"expected {len(self.sets)} rows of {len(self.domains)} values")
        return self


class ParetoPoint(Model):
    """A measured mixture by several objectives; `front`: no other is better in one and as good in all others."""

    run: int
    kind: RunKind
    values: tuple[float, ...]
    front: bool


class Pareto(Model):
    """All measured mixtures by several objectives, with what is predicted of the chosen one and of natural."""

    objectives: tuple[str, ...]
    points: tuple[ParetoPoint, ...]
    chosen: tuple[float, ...]
    natural: tuple[float, ...]

    @model_validator(mode="after")
    def _has_a_value_per_objective(self) -> Self:
        for values in (self.chosen, self.natural, *(point.values for point in self.points)):
            if len(values) != len(self.objectives):
                raise ValueError(f"{len(values)} values for {len(self.objectives)} objectives")
        return self


class DecayCandidate(Model):
    """A mixture that was tried at the end of a run: what it gains over staying, in the objective's unit, by seed."""

    name: str
    weights: Weights
    gains: tuple[float, ...]


class DecayChoice(Model):
    """The search of the last stage, a `share` of the run: what was tried, and which one ends the recipe.

    `lower` is the end of the interval of the `best` one's gain, which must be above 0.
    """

    share: float
    candidates: tuple[DecayCandidate, ...]
    chosen: str
    best: str
    lower: float


class Candidates(Published):
    """The evidence of a search, for people and for the report.

    What a search did not look at is None: one objective has no Pareto front, one size no transfer.
    """

    FILE: ClassVar[str] = "candidates.json"

    format: Literal[2] = 2
    strategy: str
    predictor: ChosenPredictor
    tried: tuple[PredictorScore, ...]
    rounds: tuple[Round, ...]
    held_out: tuple[HeldOutPrediction, ...]
    noise_sd: NonNegativeFloat | None
    kl_to_natural: NonNegativeFloat
    decision: ChosenMixture
    considered: tuple[Candidate, ...]
    confirmation: Confirmation | None
    transfer: Transfer | None
    supply: TokenSupply
    interactions: Interactions
    pareto: Pareto | None
    decay: DecayChoice | None = None
