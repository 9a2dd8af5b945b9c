"""What others may read of the evaluate stage: what was measured, and the decision with the forecast beside its outcome."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published
from tasks.mixture.published import BaselineName, MixtureName
from tasks.mixture.published_forecast import ForecastMixture
from tasks.mixture.runs import LossUnit

Test = Literal["paired", "unpaired"]


class MeasuredModel(Model):
    """One model's bits per byte on every domain of the test split; `mean` is the objective of the search.

    `task_losses` are the scores of tasks that the objective names, on the items that the search did not look at, turned so
    that less is better. `device` and `instruction_set` are those it was trained on.
    """

    mixture: str
    seed: NonNegativeInt
    bpb: Mapping[str, float]
    task_losses: Mapping[str, float] = {}
    mean: float
    device: str
    instruction_set: str


class MeasuredModels(Published):
    """What every trained model was measured to be."""

    FILE: ClassVar[str] = "results.json"

    format: Literal[4] = 4
    domains: tuple[str, ...]
    models: tuple[MeasuredModel, ...]

    @property
    def overall(self) -> dict[str, float]:
        """The objective of the search by mixture, a mean over seeds."""
        means: dict[str, list[float]] = defaultdict(list)
        for model in self.models:
            means[model.mixture].append(model.mean)
        return {mixture: fmean(values) for mixture, values in means.items()}


class Continuation(Model):
    """What a model adds to the beginning of a document."""

    mixture: MixtureName
    text: str


class Sample(Model):
    """The beginning of a held-out document of a domain, how it goes on, and how models go on."""

    domain: str
    prompt: str
    document: str
    continuations: tuple[Continuation, ...]


class Samples(Published):
    """Text by the first model of each mixture; a domain is missing that has no document long enough.

    Texts are those of documents and models, untrusted and as they are.
    """

    FILE: ClassVar[str] = "samples.json"

    format: Literal[1] = 1
    seed: NonNegativeInt
    temperature: float
    samples: tuple[Sample, ...]


class Interval(Model):
    """A mean difference and its confidence interval; None where nothing supports one.

    It is in bits per byte, or the unit of the objective.
    """

    gain: float
    lower: float | None = None
    upper: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval, if there is one."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)

    @property
    def above_zero(self) -> bool:
        """Whether there is an interval and all of it is a gain."""
        return self.lower is not None and self.lower > 0

    @property
    def below_zero(self) -> bool:
        """Whether there is an interval and all of it is a loss."""
        return self.upper is not None and self.upper < 0


class Comparison(Interval):
    """The searched mixture against one baseline; gains are baseline - searched, so more is better.

    `differences` are those of each seed. `test` is Welch's, of unpaired runs, where the two runs of a seed were trained on
    different devices or instruction sets. `per_task` are the differences in the scores of tasks that the objective names.
    """

    baseline: BaselineName
    claim: bool
    test: Test
    statement: str
    differences: tuple[float, ...]
    seeds: tuple[int, ...]
    per_domain: Mapping[str, Interval]
    per_task: Mapping[str, Interval] = {}


class ForecastOutcome(Model):
    """The forecast of the gain over natural beside what was measured; a `warning` says that the sizes differ."""

    predicted_gain: float
    lower: float
    upper: float
    confidence: float
    measured_gain: float
    measured_lower: float | None
    measured_upper: float | None
    inside: bool
    status: str
    model_parameters: NonNegativeInt
    tokens: NonNegativeInt
    measured_model_parameters: PositiveInt
    measured_tokens: PositiveInt
    same_size: bool
    warning: str | None
    statement: str

    @property
    def measured(self) -> Interval:
        """What was measured."""
        return Interval(gain=self.measured_gain, lower=self.measured_lower, upper=self.measured_upper)


class JudgedSaying(Model):
    """What was said when a `share` of the run was made (0 = before training), and whether the outcome lay `inside`."""

    share: float = Field(ge=0, lt=1)
    value: float
    lower: float
    upper: float
    inside: bool


class JudgedForecast(Model):
    """All that was said of one value, and its outcome, a mean over seeds.

    `set` is a held-out set, null for the objective; `mixture` whose value it is, null for the gain of searched over natural.
    """

    set: str | None
    mixture: ForecastMixture | None
    outcome: float
    said: tuple[JudgedSaying, ...]


class Decision(Published):
    """Whether the search may claim to beat the first baseline, every comparison, and what became of the forecast.

    Gains are in `unit`. `per_domain` are bits per byte by domain and mixture, means over seeds; `per_task` the scores of
    tasks that the objective names, turned so that less is better. `forecast` is None where nothing tested it;
    `forecast_statement` says why, or what came out. `forecasts` are all values that were forecast for the size that was
    trained, before training and on the way; `forecasts_statement` counts those that came out inside.
    """

    FILE: ClassVar[str] = "decision.json"

    format: Literal[4] = 4
    claim: bool
    statement: str
    baseline: BaselineName
    confidence: float = Field(gt=0, lt=1)
    num_seeds: PositiveInt
    comparisons: Mapping[BaselineName, Comparison]
    unit: LossUnit = "bits per byte"
    per_domain: Mapping[str, Mapping[MixtureName, float]]
    per_task: Mapping[str, Mapping[MixtureName, float]] = {}
    forecast: ForecastOutcome | None
    forecast_statement: str
    forecasts: tuple[JudgedForecast, ...] = ()
    forecasts_statement: str = ""
