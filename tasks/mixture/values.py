"""What a model on the recipe and one on natural weights will have on every held-out set, said before either is trained.

Natural's losses at the target follow from those at the proxies' size and a second one by one law (`third_size.fall`), the
recipe's from natural's and its gain on each set. Of one size alone only that size is spoken of.
Axes: R runs, S held-out sets with the objective behind them, P shares of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import scipy

from tasks.mixture.expected_curve import RunCurve, expected_curve
from tasks.mixture.problem import Problem
from tasks.mixture.published_forecast import (
    ExpectedValue,
    ForecastMixture,
    MixtureForecast,
    Said,
    SizeGain,
)
from tasks.mixture.runs import RunTable
from tasks.mixture.third_size import Fall, Sizes, extrapolated
from tasks.mixture.transfer import size_gain

Array = npt.NDArray[np.float64]

# Of the mean of how many runs a forecast speaks: the default of train.num_seeds.
SEEDS = 3


@dataclass(frozen=True)
class Evidence:
    """What the runs at one size say: natural's losses and the pick's gains, a row for each seed that has both."""

    natural_RS: Array
    gain_RS: Array

    @property
    def natural_S(self) -> Array:
        """The mean over natural's seeds."""
        return np.asarray(self.natural_RS.mean(axis=0))

    @property
    def gain_S(self) -> Array:
        """The mean over pairs."""
        return np.asarray(self.gain_RS.mean(axis=0))


def mixture_values(
    problem: Problem,
    runs: RunTable,
    sizes: Sizes,
    pick: tuple[float, ...],
    gain: Said,
    *,
    other_text: Sequence[float],
    drift_per_efold: float,
    confidence: float,
    curves: Sequence[RunCurve] = (),
) -> tuple[dict[ForecastMixture, MixtureForecast], dict[str, Said]]:
    """Return what natural and the pick are forecast to have, and the gain on every set; `gain` is that of the objective.

    `other_text` says how much each set's loss differs on other text, as a share of it. Both are empty where natural or
    the pick was not measured at a size that is spoken of, with a seed that both had.
    """
    natural = tuple(problem.natural.tolist())
    asked = [sizes.first, *([] if sizes.fall is None or sizes.second is None else [sizes.second])]
    seen = [_evidence(problem, runs.at(size.model_parameters, size.tokens), natural, pick) for size in asked]
    found = [each for each in seen if each is not None]
    if len(found) < len(seen):
        return {}, {}
    quantile = float(scipy.stats.norm.ppf(0.5 + confidence / 2))
    shares_S = np.append(problem.objective_S, 0.0)
    natural_S, common_S, own_S = _levels(found, sizes.fall)
    text_S = np.append(other_text, 0.0) * natural_S
    text_S[-1] = sqrt(float(((shares_S * text_S) ** 2).sum()))
    own_S = np.hypot(own_S, text_S)
    gains = _gains(found, sizes, pick == natural, drift_per_efold, confidence)
    said = [_said(value, sd, quantile) for value, sd in gains]
    said[-1] = gain
    kept = (gain.upper - gain.lower) / 2 / quantile if quantile else 0.0
    gain_sd_S = np.array([*(sd for _, sd in gains[:-1]), kept])
    gain_S = np.array([each.value for each in said])
    searched_S = natural_S - gain_S
    searched_own_S, searched_common_S = np.hypot(own_S, gain_sd_S), common_S * searched_S / natural_S

    def told(weights: tuple[float, ...], *columns: Array) -> MixtureForecast:
        rows = zip(*(column.tolist() for column in columns), strict=True)
        *of_sets, objective = [ExpectedValue.of(value, common, sd, quantile) for value, common, sd in rows]
        curve = expected_curve(runs, sizes, weights, curves)
        return MixtureForecast(objective=objective, sets=dict(zip(names, of_sets, strict=True)), curve=curve)

    names = problem.set_names
    values: dict[ForecastMixture, MixtureForecast] = {
        "searched": told(pick, searched_S, searched_common_S, searched_own_S),
        "natural": told(natural, natural_S, common_S, own_S),
    }
    return values, dict(zip(names, said[:-1], strict=True))


def _said(value: float, sd: float, quantile: float) -> Said:
    return Said(value=value, lower=value - quantile * sd, upper=value + quantile * sd)


def _evidence(problem: Problem, runs: RunTable, natural: tuple[float, ...], pick: tuple[float, ...]) -> Evidence | None:
    losses: dict[tuple[float, ...], dict[int, tuple[float, ...]]] = {natural: {}, pick: {}}
    for row in runs.rows:
        if row.weights in losses:
            losses[row.weights].setdefault(row.seed, (*row.losses, row.objective))
    shared = sorted(losses[natural].keys() & losses[pick].keys())
    if not shared:
        return None
    natural_RS = np.array([losses[natural][seed] for seed in sorted(losses[natural])])
    pairs = [np.subtract(losses[natural][seed], losses[pick][seed]) for seed in shared]
    return Evidence(natural_RS, np.array(pairs))


def _levels(seen: Sequence[Evidence], onward: Fall | None) -> tuple[Array, Array, Array]:
    """Return natural's losses at the target, what the law may be off by, and the sd of the seeds' noise, each [S]."""
    noise_S = _noise([each.natural_RS for each in seen])
    last, onto = seen[-1], Fall(0.0, 0.0) if onward is None else onward
    fallen_S = seen[0].natural_S - last.natural_S
    shares = [(1 + onto.factor) ** 2 / len(last.natural_RS), 1 / SEEDS]
    shares += [onto.factor**2 / len(seen[0].natural_RS)] if len(seen) > 1 else []
    # A loss that is higher than the law's falls less.
    return last.natural_S - onto.factor * fallen_S, onto.sd * fallen_S, noise_S * sqrt(sum(shares))


def _gains(
    seen: Sequence[Evidence], sizes: Sizes, kept: bool, drift_per_efold: float, confidence: float
) -> list[tuple[float, float]]:
    """Return the gain on every set at the target and its standard deviation; of natural itself there is none."""
    count = seen[0].gain_RS.shape[1]
    if kept:
        return [(0.0, 0.0)] * count
    noise_S = _noise([each.gain_RS for each in seen])
    found = []
    for place in range(count):
        noise = float(noise_S[place])
        told = [
            size_gain(size, float(each.gain_S[place]), noise / sqrt(len(each.gain_RS)))
            for size, each in zip((sizes.first, sizes.second), seen, strict=False)
            if size is not None
        ]
        at: SizeGain = told[0]
        if len(told) > 1 and sizes.target is not None:
            at = extrapolated(told[0], told[1], sizes.target, drift_per_efold, confidence)
        found.append((at.gain, sqrt((at.sd or 0.0) ** 2 + noise**2 / SEEDS)))
    return found


def _noise(groups: Sequence[Array]) -> Array:
    """Return the standard deviation over seeds of every column, pooled over sizes, half its own and half that of all sets.

    0 where nothing was repeated. A few seeds tell one set's own noise badly; the last column, the objective, keeps its own.
    """
    degrees = sum(len(rows_RS) - 1 for rows_RS in groups)
    if not degrees:
        return np.zeros(groups[0].shape[1])
    squares_S = sum(((rows_RS - rows_RS.mean(axis=0)) ** 2).sum(axis=0) for rows_RS in groups)
    variance_S = np.asarray(squares_S / degrees, dtype=np.float64)
    variance_S[:-1] = (variance_S[:-1] + variance_S[:-1].mean()) / 2
    return np.sqrt(variance_S)
