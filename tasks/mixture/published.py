"""What a search publishes of its decision: the recipe, and the forecast that was made with it.

The table of runs is `tasks.mixture.runs`, the evidence `tasks.mixture.published_candidates`.
"""

from collections.abc import Mapping
from math import isclose
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tasks.core.published import Model, Published

BaselineName = Literal["natural", "uniform", "unimax"]
MixtureName = Literal["searched", "natural", "uniform", "unimax"]
TransferVerdict = Literal["transfers", "does not transfer", "cannot tell"]
Weights = tuple[NonNegativeFloat, ...]

BASELINES: tuple[BaselineName, ...] = ("natural", "uniform", "unimax")
MIXTURES: tuple[MixtureName, ...] = ("searched", *BASELINES)
ONE_SIZE: Literal["one size"] = "one size"
TRANSFERS: Literal["transfers"] = "transfers"
# Mixtures that differ by less in every weight are the same one.
_SAME = 1e-6


class RecipePhase(Model):
    """A part of the run with one mixture; `weights` are in the order of the recipe's domains and sum to 1."""

    tokens: PositiveInt
    weights: Weights

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if not isclose(sum(self.weights), 1.0, abs_tol=1e-6):
            raise ValueError(f"{len(self.weights)} weights sum to {sum(self.weights):.6f}, not to 1")
        return self


class Recipe(Published):
    """The mixture that was found, for the run it is for, beside the baselines that it has to beat.

    No domain is repeated more than `max_epochs` times. `uniform_capped` are the domains that uniform weights would repeat
    more often. `objective` has the share of each domain's held-out text in what was searched. `forecast` is the SHA-256
    of the forecast made with it, None where nobody made one.
    """

    FILE: ClassVar[str] = "recipe.json"

    format: Literal[1] = 1
    domains: tuple[str, ...] = Field(min_length=1)
    phases: tuple[RecipePhase, ...] = Field(min_length=1)
    max_epochs: PositiveFloat
    baselines: Mapping[BaselineName, Weights]
    uniform_capped: tuple[str, ...] = ()
    objective: Weights
    forecast: str | None = None

    @model_validator(mode="after")
    def _fits_the_domains(self) -> Self:
        if missing := [name for name in BASELINES if name not in self.baselines]:
            raise ValueError(f"the baseline {missing[0]} is missing")
        rows = [("phases", phase.weights) for phase in self.phases]
        rows += [(f"baselines.{name}", weights) for name, weights in self.baselines.items()]
        for name, values in [*rows, ("objective", self.objective)]:
            if len(values) != len(self.domains):
                raise ValueError(f"{name}: {len(values)} weights for {len(self.domains)} domains")
        return self

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return sum(phase.tokens for phase in self.phases)

    @property
    def searched(self) -> Weights:
        """The mixture over the whole run: the phases' weights, weighted by their tokens."""
        if len(self.phases) == 1:
            return self.phases[0].weights
        columns = zip(*(phase.weights for phase in self.phases), strict=True)
        shares = [phase.tokens / self.tokens for phase in self.phases]
        return tuple(sum(w * share for w, share in zip(column, shares, strict=True)) for column in columns)

    @property
    def mixtures(self) -> tuple[MixtureName, ...]:
        """The searched mixture and the baselines; UniMax where it is another one than uniform."""
        pairs = zip(self.baselines["uniform"], self.baselines["unimax"], strict=True)
        same = max(abs(one - other) for one, other in pairs) < _SAME
        return ("searched", "natural", "uniform") if same else ("searched", *BASELINES)

    def weights(self, mixture: MixtureName) -> Weights:
        """Return the weights of a mixture, of the searched one over the whole run."""
        return self.searched if mixture == "searched" else self.baselines[mixture]


class DomainForecast(Model):
    """What the predictor says of one held-out set, in bits per byte at the proxies' size."""

    natural: float
    searched: float


class SizeGain(Model):
    """The recipe's gain over natural at one size; `sd` is None where the noise there is not known.

    `degrees_of_freedom` are those that `sd` was estimated with, None where it is as good as known.
    """

    model_parameters: PositiveInt
    tokens: PositiveInt
    gain: float
    sd: NonNegativeFloat | None
    degrees_of_freedom: PositiveInt | None = None


class Forecast(Published):
    """The predicted gain over natural in bits per byte, lower being better, at one model size and number of tokens.

    The interval comes from the joint posterior of both mixtures, widened by cross-validation, and from fresh seeds where
    there were any, by Student's t as few seeds do not tell their own noise. It speaks of the expected difference, not of
    one run: `noise_sd` is what one run differs from another with the same mixture. `model_parameters` and `tokens` are the
    target's where the order of mixtures transfers, else the proxies'; `predicted_searched`, `predicted_natural` and
    `per_domain` are always the proxies'. `sizes` holds the gain at every size that was looked at.
    """

    FILE: ClassVar[str] = "forecast.json"

    format: Literal[1] = 1
    objective: str
    gain_over_natural: float
    lower: float
    upper: float
    confidence: float = Field(gt=0, lt=1)
    predicted_searched: float
    predicted_natural: float
    per_domain: Mapping[str, DomainForecast]
    model_parameters: NonNegativeInt
    tokens: NonNegativeInt
    noise_sd: NonNegativeFloat
    status: TransferVerdict | Literal["one size"]
    statement: str
    sizes: tuple[SizeGain, ...] = ()
