"""The forecast that a search publishes beside its recipe: what is said before training, with intervals."""

from collections.abc import Mapping
from math import hypot
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from tasks.core.published import Model, Published

TransferVerdict = Literal["transfers", "does not transfer", "cannot tell"]
ForecastMixture = Literal["searched", "natural"]

ONE_SIZE: Literal["one size"] = "one size"
FORECAST_MIXTURES: tuple[ForecastMixture, ...] = ("searched", "natural")


class DomainForecast(Model):
    """What the predictor says of one held-out set, in the unit of the proxies' losses, at their size."""

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


class Said(Model):
    """A value that is forecast, and its interval."""

    value: float
    lower: float
    upper: float


class ExpectedValue(Said):
    """A loss that is forecast; its variance is `common`^2 + `sd`^2.

    `common` is by how much it is off, with its sign, where the fall of all losses to this size is off by one standard
    deviation: the part that the run's own loss curve can correct. `sd` is what is its own: noise of seeds and of text.
    """

    common: float
    sd: NonNegativeFloat

    @classmethod
    def of(cls, value: float, common: float, sd: float, quantile: float) -> Self:
        """Return a value with its interval, `quantile` standard deviations to each side."""
        half = quantile * hypot(common, sd)
        return cls(value=value, lower=value - half, upper=value + half, common=common, sd=sd)


class ExpectedLoss(Model):
    """The training loss that is expected at a `share` of the run, with doubts as those of `ExpectedValue`.

    `rate` is the learning rate there as a share of its peak: with another schedule the loss is another one.
    """

    share: float = Field(gt=0, lt=1)
    rate: NonNegativeFloat
    loss: float
    common: float
    sd: NonNegativeFloat


class MixtureForecast(Model):
    """What a model on a mixture will have on every held-out set and by the objective, and its loss on the way there."""

    objective: ExpectedValue
    sets: Mapping[str, ExpectedValue]
    curve: tuple[ExpectedLoss, ...] = ()


class Forecast(Published):
    """What is said before training of the recipe's and natural's models, at one model size and number of tokens.

    `gain_over_natural` is in the unit of the `objective`, and so is `values`, by mixture; `gains` are those on every set.
    All intervals have one `confidence` and speak of the mean of three seeds. They come from fresh seeds, cross-validation
    and Student's t, as few seeds do not tell their own noise; and, where a second size was measured, from what the way to
    the target may change. `model_parameters` and `tokens` are the target's then, else the proxies'; `predicted_searched`,
    `predicted_natural` and `per_domain` are always the predictor's, at the proxies' size. `noise_sd` is what one run
    differs from another with the same mixture. `sizes` holds the gain at every size that was looked at, `status` whether
    mixtures keep their order there.

    Format 1 had neither `values` nor `gains`, and is read as one without.
    """

    FILE: ClassVar[str] = "forecast.json"

    format: Literal[2] = 2
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
    values: Mapping[ForecastMixture, MixtureForecast] = {}
    gains: Mapping[str, Said] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, value: Any) -> Any:
        return {**value, "format": 2} if isinstance(value, dict) and value.get("format") == 1 else value

    @classmethod
    def _require_format(cls, value: dict[str, Any], where: str) -> None:
        if value.get("format") != 1:
            super()._require_format(value, where)
