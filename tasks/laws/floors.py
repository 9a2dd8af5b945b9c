"""The loss that no size and no tokens would go below, from two scaling laws of one set of runs.

Chinchilla's form, and Kaplan's with a floor: L = E + ((A / N)^(alpha / beta) + B / D)^beta (Brandfonbrener et al., arXiv
2411.12925, equation 3). The two disagree about E by a few percent and neither is right everywhere; of a loss that scatters,
such as a task's, each knows E only within a wide range, at whose ends the optimum often lies.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.laws.chinchilla import chinchilla_curve, chinchilla_starts
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre, compute_effort, size_coordinates
from tasks.laws.fitting import best_fit
from tasks.laws.intervals import uncertain


@dataclass(frozen=True)
class Floor:
    """What is known of a floor, between 0 and the least loss: mean and standard deviation of what both forms leave open."""

    mean: float
    sd: float

    @property
    def cautious(self) -> float:
        """One standard deviation below the mean: floors that are too high ruin a prediction, lower ones cost little."""
        return max(self.mean - self.sd, 0.0)


def floor_of(sizes: Columns, loss_R: Array) -> Floor:
    """Return the floor of a loss: both forms count the same, and where they disagree, less is known."""
    forms = (
        (chinchilla_curve(sizes, loss_R), chinchilla_starts(loss_R)),
        (_kaplan_curve(sizes, loss_R), _kaplan_starts(loss_R)),
    )
    means, variances = zip(*(_left_open(curve, starts, sizes, loss_R) for curve, starts in forms), strict=True)
    return Floor(float(np.mean(means)), float(np.sqrt(np.mean(variances) + np.var(means))))


def _left_open(curve: Curve, starts: list[Array], sizes: Columns, loss_R: Array) -> tuple[float, float]:
    """Return mean and variance of E: normal about its optimum, between its bounds."""
    from scipy.stats import truncnorm

    fit = uncertain(curve, sizes, loss_R, best_fit(curve, sizes, loss_R, starts, "huber"), 0.0)
    optimum, sd, bounds = float(fit.p_P[0]), float(np.sqrt(fit.covariance_PP[0, 0])), curve.parameters[0]
    ends = (bounds.lower - optimum) / sd, (bounds.upper - optimum) / sd
    mean, variance = truncnorm.stats(*ends, loc=optimum, scale=sd, moments="mv")
    return float(mean), float(variance)


def _kaplan_curve(sizes: Columns, loss_R: Array) -> Curve:
    params, tokens = centre(sizes["params"]), centre(sizes["tokens"])

    def values(p: Any, at: Columns) -> Any:
        by_params = np.exp(p[1] - p[3] / p[4] * np.log(at["params"] / params))
        return p[0] + np.exp(p[4] * np.log(by_params + np.exp(p[2] - np.log(at["tokens"] / tokens))))

    least = float(loss_R.min())
    searched = (
        Parameter("E", 0.0, least, 0.3 * least),
        *(Parameter(f"log {name} at the centre", -30.0, 30.0, 3.0) for name in ("A", "B")),
        *(Parameter(name, 1e-2, 3.0, 0.3) for name in ("alpha", "beta")),
    )
    return Curve(searched, values, lambda p: {"E": p[0]}, size_coordinates, compute_effort)


def _kaplan_starts(loss_R: Array) -> list[Array]:
    least, middle = float(loss_R.min()), float(loss_R.mean())
    return [
        np.array([floor * least, *[np.log((middle - floor * least) / 2) / beta] * 2, alpha, beta])
        for floor, (alpha, beta) in itertools.product((0.3, 0.7, 0.9), ((0.4, 0.4), (0.3, 0.6)))
    ]
