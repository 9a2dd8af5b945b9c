"""The fit of a curve from several starts, by one of three objectives.

`squares` of the loss, `log_squares` of its logarithm, and `huber`: Huber's function of the logarithm with delta 0.001, as in
Hoffmann et al. (arXiv 2203.15556, appendix D.3). Huber's fit is reached through wider deltas from the log squares' optimum:
from other starts its flat sides hold the search where it began.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.laws.curve import Array, Columns, Curve, derivatives

Objective = Literal["squares", "log_squares", "huber"]

HUBER_DELTA = 1e-3
_DELTAS = (3e-2, 1e-2, 3e-3)
# The starts nearest to the points are followed.
_FOLLOWED = 12
# Each of them is followed so far, and the best of them to the end: tolerance and most evaluations.
_COARSE, _FINE = (1e-8, 60), (1e-13, 400)


def best_fit(curve: Curve, columns: Columns, target_R: Array, starts: Iterable[Array], objective: Objective) -> Array:
    """Return the parameters [P] with the least objective of all that the starts lead to. Deterministic.

    Raises:
        EvidenceError: from no start the law has a finite value on these points.
    """
    squares: Objective = "log_squares" if objective == "huber" else objective
    nearest = sorted(starts, key=lambda start_P: _cost(curve, columns, target_R, start_P))[:_FOLLOWED]
    searched = [_search(curve, columns, target_R, start_P, squares, _COARSE) for start_P in nearest]
    found = [one for one in searched if one is not None]
    if not found:
        raise EvidenceError(
            f"the law has no finite value on these {len(target_R)} points from any start. Check the units of the columns."
        )
    _, p_P = min(found, key=lambda one: one[0])
    for delta in (*_DELTAS, HUBER_DELTA) if objective == "huber" else (None,):
        nearer = _search(curve, columns, target_R, p_P, squares, _FINE, delta)
        p_P = p_P if nearer is None else nearer[1]
    return p_P


def _cost(curve: Curve, columns: Columns, target_R: Array, start_P: Array) -> float:
    """Return the squared distance of a start, infinite where the law is."""
    with np.errstate(all="ignore"):
        cost = float(((np.asarray(curve.values(start_P, columns)) - target_R) ** 2).sum())
    return cost if np.isfinite(cost) else np.inf


def _search(
    curve: Curve,
    columns: Columns,
    target_R: Array,
    start_P: Array,
    objective: Objective,
    effort: tuple[float, int],
    delta: float | None = None,
) -> tuple[float, Array] | None:
    from scipy.optimize import least_squares

    logarithm = objective == "log_squares"
    aim_R = np.log(target_R) if logarithm else target_R

    def errors(p_P: Array) -> Array:
        values_R = curve.values(p_P, columns)
        return np.asarray((np.log(values_R) if logarithm else values_R) - aim_R)

    lower_P, upper_P = (np.array([getattr(one, side) for one in curve.parameters]) for side in ("lower", "upper"))
    inside_P = np.clip(start_P, lower_P, upper_P)
    with np.errstate(all="ignore"):
        if not np.isfinite(errors(inside_P)).all():
            return None
        try:
            result = least_squares(
                errors,
                inside_P,
                jac=lambda p_P: derivatives(errors, p_P),
                bounds=(lower_P, upper_P),
                x_scale="jac",
                loss="linear" if delta is None else "huber",
                f_scale=1.0 if delta is None else delta,
                max_nfev=effort[1],
                xtol=effort[0],
                ftol=effort[0],
                gtol=effort[0],
            )
        except ValueError:  # a step on which the law overflows
            return None
    return float(result.cost), np.asarray(result.x)
