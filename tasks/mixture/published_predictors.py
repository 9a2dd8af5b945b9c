"""What a search publishes of its predictors: which were tried, which were chosen, and how they did on unseen runs."""

from collections.abc import Mapping

from pydantic import JsonValue, NonNegativeFloat

from tasks.core.published import Model


class PredictorScore(Model):
    """How a predictor did on runs it had not seen; `coverage` is of its 90 % intervals.

    `name` is its kind, with a number where the kind was tried more than once, or `stack`.
    """

    name: str
    rmse: NonNegativeFloat
    spearman: float
    coverage: float


class StackMember(Model):
    """A member of the chosen predictor: its name among those tried, its params, its share, its hyper-parameters."""

    name: str
    params: Mapping[str, JsonValue]
    share: float
    hyperparameters: tuple[float, ...] | None


class CalibrationFactors(Model):
    """The factor on every standard deviation: `factor` exp(`slope` u), u = (prediction - `centre`) / `spread`."""

    factor: float
    slope: float
    centre: float
    spread: float


class SelectedPredictor(Model):
    """What cross-validation decided, on how many runs: enough to fit the same predictor again without deciding anew."""

    members: tuple[StackMember, ...]
    calibration: CalibrationFactors
    runs: int


class ChosenPredictor(Model):
    """The predictor that the decision was made with; `inflation` is its factor on an average standard deviation."""

    name: str
    runs: int
    inflation: float
    members: tuple[StackMember, ...]


class HeldOutPrediction(Model):
    """A run as it was predicted from the others; `sd` includes the noise of a run, but no calibration."""

    run: int
    measured: float
    predicted: float
    sd: float
