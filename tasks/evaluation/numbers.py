"""The decision as numbers with names: what MLflow's table of runs and `dvc metrics` show."""

from collections.abc import Mapping

from tasks.evaluation.published import Decision, Interval
from tasks.mixture.published import MixtureName
from tasks.mixture.runs import LossUnit

# What the objective of a mixture is called: by its unit, where it has one.
OBJECTIVES: Mapping[LossUnit, str] = {
    "bits per byte": "bits_per_byte",
    "nats per token": "nats_per_token",
    "loss": "objective",
}


def decision_numbers(
    decision: Decision, overall: Mapping[str, float] | Mapping[MixtureName, float]
) -> dict[str, float]:
    """Return claim, gains, forecast and the objective, which is `overall` by mixture; gains are in its unit.

    `claim` is 1 where the searched mixture may claim to beat the first baseline. An end of an interval that nothing
    supports is left out, and so is a forecast that nothing tested.
    """
    found = {"claim": float(decision.claim), **_ends("gain", decision.comparisons[decision.baseline])}
    for name, one in decision.comparisons.items():
        found |= _ends(f"gain_over/{name}", one)
    if (tested := decision.forecast) is not None:
        interval = Interval(gain=tested.predicted_gain, lower=tested.lower, upper=tested.upper)
        found |= {**_ends("forecast_gain", interval), "forecast_inside": float(tested.inside)}
    return found | {f"{OBJECTIVES[decision.unit]}/{mixture}": mean for mixture, mean in overall.items()}


def _ends(name: str, interval: Interval) -> dict[str, float]:
    """Return a gain with the ends of its interval, where it has some."""
    ends = zip(("lower", "upper"), interval.ends or (), strict=False)
    return {name: interval.gain, **{f"{name}_{end}": value for end, value in ends}}
