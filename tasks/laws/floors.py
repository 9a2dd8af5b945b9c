"""The loss that no size and no tokens would go below, from two scaling laws of one set of runs.

Chinchilla's form, and Kaplan's with a floor: L = E + ((A / N)^(alpha / beta) + B / D)^beta (Brandfonbrener et al., arXiv
2411.12925, equation 3). The two disagree about E by a few percent and neither is right everywhere.
"""

import itertools
from typing import Any

import numpy as np

from tasks.laws.chinchilla import chinchilla_curve, chinchilla_starts
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre, compute_effort, size_coordinates
from tasks.laws.fitting import best_fit


def floors_of(sizes: Columns, loss_R: Array) -> tuple[float, float]:
    """Return the floor E of Chinchilla's form and that of Kaplan's."""
    chinchilla = best_fit(chinchilla_curve(sizes, loss_R), sizes, loss_R, chinchilla_starts(loss_R), "huber")
    kaplan = best_fit(_kaplan_curve(sizes, loss_R), sizes, loss_R, _kaplan_starts(loss_R), "huber")
    return float(chinchilla[0]), float(kaplan[0])


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
