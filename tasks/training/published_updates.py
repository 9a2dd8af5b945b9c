"""What others may read of a forecast that was looked at again while its runs were under way."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from tasks.core.published import Model, Published
from tasks.mixture.published_forecast import ForecastMixture, MixtureForecast, Said


class ForecastUpdate(Model):
    """The forecast when a `share` of the run, `step` steps, was made.

    `losses` and `expected` are the training losses there (nats per token, means over seeds) that were read and that the
    forecast before training expected, by mixture; `off` is by how many of its standard deviations the fall to this size is
    now believed to be off. `values` are as those of the forecast, without curves.
    """

    share: float = Field(gt=0, lt=1)
    step: PositiveInt
    losses: Mapping[ForecastMixture, float]
    expected: Mapping[ForecastMixture, float]
    off: float
    values: Mapping[ForecastMixture, MixtureForecast]
    gain: Said


class ForecastUpdates(Published):
    """All that was said on the way: each update reads no step behind its own.

    `statement` says what was not looked at, and why; empty where nothing was left out. `confidence` is that of the
    forecast.
    """

    FILE: ClassVar[str] = "forecasts.json"

    format: Literal[1] = 1
    confidence: float = Field(gt=0, lt=1)
    updates: tuple[ForecastUpdate, ...]
    statement: str = ""
