"""What a ladder publishes: its runs with what each reached; and what is forecast from them."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tasks.core.published import Model, Published
from tasks.ladder.proportional import Proportional
from tasks.laws.kinds import LawParams

RUNS_FILE = "runs.csv"


class LadderRunResult(Model):
    """One run; `trunk_step` is the step at which a branch left its trunk, null for a trunk itself."""

    name: str
    size: str
    seed: NonNegativeInt
    params: PositiveInt
    tokens: PositiveInt
    flops: PositiveInt
    trunk_step: PositiveInt | None
    bits_per_byte: Mapping[str, PositiveFloat] = Field(description="by domain, on the test split")
    device: str
    instruction_set: str


class Ladder(Published):
    """All runs; `weights` are the mixture of all of them, `spent_flops` what they took together."""

    FILE: ClassVar[str] = "ladder.json"

    format: Literal[1] = 1
    weights: Mapping[str, float]
    spent_flops: PositiveInt
    runs: tuple[LadderRunResult, ...]


class Forecast(Model):
    """Bits per byte that are forecast for one set (or the mean of all), by the law and by the naive way.

    `extrapolation` says how many times beyond the runs it lies, in what it does most; `measured` is what was measured there
    where a size was held out, the mean over seeds.
    """

    set: str
    params: PositiveFloat
    tokens: PositiveFloat
    prediction: float
    lower: float
    upper: float
    extrapolation: float
    naive: float
    naive_lower: float
    naive_upper: float
    measured: float | None = None


class Check(Model):
    """Forecasts of sizes that were held out, each by the smaller ones alone, over single sets and the mean of all.

    `clusters` are sizes x sets: forecasts within one are of one curve. Coverage is the share of measured values in the
    intervals, the score the mean interval score (Gneiting and Raftery 2007, lower is better); errors are relative.
    """

    clusters: NonNegativeInt
    coverage: float
    naive_coverage: float
    interval_score: float
    naive_interval_score: float
    median_error: float
    naive_median_error: float
    largest_mean_error: float = Field(description="of the mean of all sets, at the longest run of the largest size")
    forecasts: tuple[Forecast, ...]


class LadderForecast(Published):
    """What `mixwright ladder fit --json` prints; `check` is null where too few runs are left without the largest size.

    `bending_sizes` are the parameters of sizes whose loss falls faster with log tokens late than early, which no power law
    does: their runs are too short for one.
    """

    FILE: ClassVar[str] = "ladder-forecast.json"

    format: Literal[1] = 1
    law: LawParams | Proportional
    confidence: float = Field(gt=0, lt=1)
    runs: PositiveInt
    forecasts: tuple[Forecast, ...]
    check: Check | None
    bending_sizes: tuple[PositiveFloat, ...] = ()
