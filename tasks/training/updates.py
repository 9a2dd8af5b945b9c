"""A forecast looked at again while its runs are under way: what their loss curves so far say of the end.

The forecast before training expects a training loss at some shares of the run, from the curves of the search's own runs, and
knows how much of that and of the values at the end has one cause: how far losses fall to this size. A reading tells of that
cause, normal as all else is; what is noise of seeds and of text it cannot tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist, fmean

from tasks.mixture.published_forecast import (
    ExpectedLoss,
    ExpectedValue,
    Forecast,
    ForecastMixture,
    MixtureForecast,
    Said,
)
from tasks.training.config import TrainingConfig
from tasks.training.curve import SHARES, Reading, rates_at, read_curve, same_rate, step_at
from tasks.training.published_updates import ForecastUpdate, ForecastUpdates


@dataclass(frozen=True)
class RunCurve:
    """The training loss of every step of a run, its mixture and its config."""

    mixture: str
    training: TrainingConfig
    losses: Sequence[float]


@dataclass(frozen=True)
class _Seen:
    """What runs on a mixture read at one share of them, beside what was expected."""

    expected: ExpectedLoss
    read: Reading

    @property
    def sd(self) -> float:
        """Of what the two differ by, whatever the fall is."""
        return hypot(self.expected.sd, self.read.sd)


def updates(forecast: Forecast, curves: Sequence[RunCurve]) -> ForecastUpdates | None:
    """Return the forecast as it is at every share of the run; None where it expects no loss on the way.

    At a share at which the learning rate is another part of its peak than in the search's runs nothing is said.
    """
    known: dict[ForecastMixture, list[RunCurve]] = {}
    for name, value in forecast.values.items():
        if value.curve and (own := [curve for curve in curves if curve.mixture == name]):
            known[name] = own
    if not known:
        return None
    found, other, so_far = list[ForecastUpdate](), list[str](), list[Mapping[ForecastMixture, _Seen]]()
    for place, share in enumerate(SHARES):
        seen = {name: _seen(forecast.values[name].curve[place], runs, place) for name, runs in known.items()}
        rates = {name: (rates_at(runs[0].training)[place], seen[name].expected.rate) for name, runs in known.items()}
        if wrong := next((pair for pair in rates.values() if not same_rate(*pair)), None):
            other.append(
                f"at {share:.0%} the learning rate is {wrong[0]:.2f} of its peak, and was {wrong[1]:.2f} there"
            )
            continue
        step = step_at(share, next(iter(known.values()))[0].training.num_steps)
        so_far.append(seen)
        found.append(_update(forecast, share, step, so_far))
    told = f"The search's runs had another schedule: {'; '.join(other)}, so the forecast stays." if other else ""
    return ForecastUpdates(confidence=forecast.confidence, updates=tuple(found), statement=told)


def _seen(expected: ExpectedLoss, runs: Sequence[RunCurve], place: int) -> _Seen:
    read = [read_curve(run.losses)[place] for run in runs]
    noise = sqrt(sum(each.sd**2 for each in read)) / len(read)
    return _Seen(expected, Reading(fmean(each.loss for each in read), noise))


def _update(
    forecast: Forecast, share: float, step: int, so_far: Sequence[Mapping[ForecastMixture, _Seen]]
) -> ForecastUpdate:
    precision, told, seen = 1.0, 0.0, so_far[-1]
    for each in so_far:
        # Text and shape of the curves of one size are in all mixtures: at one share they count as one reading.
        common = fmean(one.expected.common for one in each.values())
        variance = fmean(one.sd for one in each.values()) ** 2
        if variance > 0:
            precision += common**2 / variance
            told += common * fmean(one.read.loss - one.expected.loss for one in each.values()) / variance
    off, left = told / precision, 1 / sqrt(precision)
    quantile = NormalDist().inv_cdf(0.5 + forecast.confidence / 2)
    values = {name: _moved(value, off, left, quantile) for name, value in forecast.values.items()}
    shift = off * (forecast.values["natural"].objective.common - forecast.values["searched"].objective.common)
    return ForecastUpdate(
        share=share,
        step=step,
        losses={name: each.read.loss for name, each in seen.items()},
        expected={name: each.expected.loss for name, each in seen.items()},
        off=off,
        values=values,
        gain=Said(value=forecast.gain_over_natural + shift, lower=forecast.lower + shift, upper=forecast.upper + shift),
    )


def _moved(value: MixtureForecast, off: float, left: float, quantile: float) -> MixtureForecast:
    def moved(one: ExpectedValue) -> ExpectedValue:
        return ExpectedValue.of(one.value + off * one.common, left * one.common, one.sd, quantile)

    return MixtureForecast(
        objective=moved(value.objective), sets={name: moved(one) for name, one in value.sets.items()}
    )
