"""The mean pass rate of a task from its items: clustering on difficulty (Xu et al., arXiv 2502.17262).

Items are clustered by their pass rates over the runs; each cluster's mean follows g + (1 - g) exp(-a C^-b - c) in compute C,
g the rate of guessing. Clusters that do not rise or do not follow it are left out; the others are the predictable subset.
What the subset scores is mapped to what all items score by a quartic through (g, g) and (1, 1), fitted to the measured runs.

Axes: I items, R runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from tasks.core.errors import DataError, EvidenceError
from tasks.core.params import Params
from tasks.core.words import counted
from tasks.laws.clusters import clusters_of
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre
from tasks.laws.intervals import FittedCurve, Predictions, beyond, fitted
from tasks.laws.law import PARAMS, TOKENS, Answer, FittedLaw, Reads, answered
from tasks.laws.table import SHARE, Column, LawTable, require_points

_ITEM = Column("item", "name of the item", None)
_PASS_RATE = Column("pass_rate", "share of tries in which the run solves the item", SHARE)
_GUESS = Column("guess", "pass rate of guessing; without the column 0", SHARE, required=False)
READS = Reads(runs=(PARAMS, TOKENS, _ITEM, _PASS_RATE, _GUESS), at=(PARAMS, TOKENS))
# Holds the quartic near the straight line where the runs say little, in pass rates.
_RIDGE = 0.02


class Cod(Params):
    """`radius` of a cluster in pass rates (root mean square over runs), and the items it must have at least.

    A cluster must rise by `least_rise` from its cheapest third of runs to its dearest, and its law be off by at most
    `most_error` (root mean square).
    """

    kind: Literal["cod"] = "cod"
    radius: PositiveFloat = 0.15
    least_items: PositiveInt = 3
    least_rise: PositiveFloat = 0.03
    most_error: PositiveFloat = 0.05


@dataclass(frozen=True)
class _Passes:
    """Pass rates of all items at all runs, and the compute (parameters x tokens) of each, cheapest first."""

    rates_IR: Array
    guess_I: Array
    compute_R: Array


def fit_cod(params: Cod, runs: LawTable) -> FittedLaw:
    """Cluster the items and fit each cluster's law.

    Raises:
        DataError: an item is missing at a run, or stands there twice.
        EvidenceError: fewer runs than parameters, or no cluster whose pass rate can be carried on.
    """
    passes = _passes(runs)
    groups = clusters_of(passes.rates_IR, params.radius, params.least_items)
    laws = [(group, _fit(passes, group)) for group in groups if _rise(passes, group) >= params.least_rise]
    kept = [(group, law) for group, law in laws if law.rms <= params.most_error]
    if not kept:
        raise EvidenceError(
            f"{runs.path}: of {counted(len(groups), 'cluster')} of items none rises by {params.least_rise:g} over the "
            "runs and follows the law, so nothing can be carried on. Add larger runs or more items, or change "
            "radius and least_items."
        )
    subset = np.concatenate([group for group, _ in kept])
    curves = {f"cluster {number} ({len(group)} items)": law for number, (group, law) in enumerate(kept, 1)}
    note = (
        f"{len(subset)} of {len(passes.rates_IR)} items are in {counted(len(kept), 'cluster')} that can be carried on"
    )
    mapping = _mapping(passes, subset)
    weights = [len(group) / len(subset) for group, _ in kept]

    def answer(at: LawTable, confidence: float) -> Answer:
        return answered(_predict(list(curves.values()), weights, mapping, at.numbers, confidence))

    return FittedLaw(params.kind, curves, answer, (note,))


def _passes(runs: LawTable) -> _Passes:
    _require_runs(runs)
    names = runs.text("item")
    sizes = np.stack([runs.numbers["params"], runs.numbers["tokens"]], axis=1)
    size_Q, run_N = np.unique(sizes, axis=0, return_inverse=True)
    items, item_N = np.unique(names, return_inverse=True)
    count_IR = np.zeros((len(items), len(size_Q)), np.int64)
    np.add.at(count_IR, (item_N, run_N), 1)
    wrong = np.argwhere(count_IR != 1)
    if len(wrong):
        item, run = wrong[0]
        state = "missing" if count_IR[item, run] == 0 else f"there {count_IR[item, run]} times"
        raise DataError(
            f"{runs.path}: {len(wrong)} of {count_IR.size} pairs of item and run do not stand there once; first: item "
            f"{items[item]} is {state} at {size_Q[run, 0]:g} parameters and {size_Q[run, 1]:g} tokens. Give each item one "
            "pass rate at every run."
        )
    rates_IR, guess_I = np.empty(count_IR.shape), np.zeros(len(items))
    rates_IR[item_N, run_N] = runs.numbers["pass_rate"]
    if "guess" in runs.numbers:
        guess_I[item_N] = runs.numbers["guess"]
    compute_R = size_Q.prod(axis=1)
    order_R = np.argsort(compute_R, kind="stable")
    return _Passes(rates_IR[:, order_R], guess_I, compute_R[order_R])


def _require_runs(runs: LawTable) -> None:
    compute = runs.numbers["params"] * runs.numbers["tokens"]
    require_points(replace(runs, numbers={"params x tokens": compute}), "cod", ("params x tokens",), 3)


def _rise(passes: _Passes, group: Any) -> float:
    mean_R = passes.rates_IR[group].mean(axis=0)
    third = max(len(mean_R) // 3, 1)
    return float(mean_R[-third:].mean() - mean_R[:third].mean())


def _fit(passes: _Passes, group: Any) -> FittedCurve:
    guess = min(float(passes.guess_I[group].mean()), 0.99)
    curve = _curve(passes.compute_R, guess)
    mean_R = passes.rates_IR[group].mean(axis=0)
    return fitted(curve, {"compute": passes.compute_R}, mean_R, _starts, "squares")


def _curve(compute_R: Array, guess: float) -> Curve:
    compute = centre(compute_R)

    def values(p: Any, at: Columns) -> Any:
        return guess + (1 - guess) * np.exp(-np.exp(p[0] - p[1] * np.log(at["compute"] / compute)) - p[2])

    searched = (
        Parameter("log a at the centre", -10.0, 4.0, 1.0),
        Parameter("b", 1e-3, 2.0, 0.2),
        Parameter("c", 0.0, 4.0, 0.3),
    )
    return Curve(
        searched,
        values,
        lambda p: {"a": np.exp(p[0] + p[1] * np.log(6 * compute)), "b": p[1], "c": p[2], "g": 0 * p[2] + guess},
        lambda at: np.log(at["compute"])[None],
        lambda at: at["compute"],
        relative=False,
        noise=0.01,
        drift=0.02,
    )


def _starts() -> list[Array]:
    return [np.array([a, b, c]) for a in (-0.5, 0.5, 1.5) for b in (0.05, 0.2, 0.5) for c in (0.05, 0.5)]


@dataclass(frozen=True)
class _Mapping:
    """From the subset's pass rate to that of all items: t + t (1 - t) (k0 + k1 t + k2 t^2), t from guessing to 1."""

    k_K: Array
    guess: float
    guess_subset: float
    sd: float

    def __call__(self, rate_R: Any) -> Any:
        t_R = (rate_R - self.guess_subset) / (1 - self.guess_subset)
        return self.guess + (1 - self.guess) * (t_R + _bends(t_R) @ self.k_K)


def _bends(t_R: Any) -> Any:
    return np.stack([t_R * (1 - t_R) * t_R**power for power in range(3)], axis=-1)


def _mapping(passes: _Passes, subset: Any) -> _Mapping:
    guess, guess_subset = (min(float(one.mean()), 0.99) for one in (passes.guess_I, passes.guess_I[subset]))
    all_R, some_R = passes.rates_IR.mean(axis=0), passes.rates_IR[subset].mean(axis=0)
    t_R, aim_R = (some_R - guess_subset) / (1 - guess_subset), (all_R - guess) / (1 - guess)
    bends_RK = _bends(t_R)
    k_K = np.linalg.solve(bends_RK.T @ bends_RK + _RIDGE**2 * np.eye(3), bends_RK.T @ (aim_R - t_R))
    error_R = (1 - guess) * (t_R + bends_RK @ k_K - aim_R)
    freedom = 1 + max(len(error_R) - 3, 0)
    return _Mapping(np.asarray(k_K), guess, guess_subset, float(np.sqrt((0.01**2 + (error_R**2).sum()) / freedom)))


def _predict(
    laws: Sequence[FittedCurve], weights: Sequence[float], mapping: _Mapping, at: Columns, confidence: float
) -> Predictions:
    """Return the pass rate of all items; clusters are taken to err together, as one run's weakness is one."""
    columns = {"compute": at["params"] * at["tokens"]}
    rate_R = sum(weight * law.values(columns) for weight, law in zip(weights, laws, strict=True))
    half_R = sum(weight * law.width(confidence) * law.sd(columns) for weight, law in zip(weights, laws, strict=True))
    value_R = np.asarray(mapping(rate_R))
    slope_R = np.abs(np.asarray(mapping(rate_R + 1e-30j)).imag / 1e-30)
    wide_R = np.hypot(slope_R * half_R, laws[0].width(confidence) * mapping.sd)
    beyond_R, steps_R = beyond(laws[0].curve, laws[0].runs, columns)
    return Predictions(
        np.clip(value_R, 0, 1), np.clip(value_R - wide_R, 0, 1), np.clip(value_R + wide_R, 0, 1), beyond_R, steps_R > 1
    )
