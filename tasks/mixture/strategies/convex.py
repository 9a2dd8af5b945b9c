"""The minimum of a sum of exponentials with a divergence from natural, on the simplex under caps: a convex problem.

    min_x  sum_o s_o exp(b_o + t_o . x) + kl KL(x || natural),   0 <= x <= caps, sum x = 1,
           c_o + exp(b_o + t_o . x) <= most_o   for the sets with a limit

Axes: D domains, O outputs.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.errors import EvidenceError
from tasks.mixture.predictors.exponential import Exponential
from tasks.mixture.problem import Problem
from tasks.mixture.strategies.evidence import MARGIN

Array = npt.NDArray[np.float64]

_LEAST = 1e-12
# How far towards natural the solver starts again from the best that it found.
_INWARD = (0.0, 0.1, 0.01, 0.3, 0.03, 0.003)


@dataclass(frozen=True)
class Exponentials:
    """The outputs' laws without what is constant: exp(b_O + t_OD . x), and the share s_O >= 0 of each in the objective."""

    share_O: Array
    b_O: Array
    t_OD: Array

    def values(self, x_D: Array) -> Array:
        """Return exp(b + t . x), shape [O]."""
        return np.asarray(np.exp(self.b_O + self.t_OD @ x_D))


def convex_minimum(
    laws: Exponentials, natural_D: Array, caps_D: Array, *, kl: float, most_O: Array | None = None
) -> Array:
    """Return the minimiser, shape [D]; `most_O` bounds values of single outputs (infinite = no bound).

    A domain without natural weight or room stays at 0.

    Raises:
        EvidenceError: the solver found no mixture within the bounds.
    """
    used_D = (caps_D > 0) & (natural_D > 0)
    part = Exponentials(laws.share_O, laws.b_O, laws.t_OD[:, used_D])
    constraints = [{"type": "eq", "fun": lambda x_D: x_D.sum() - 1.0, "jac": np.ones_like}]
    limited = [] if most_O is None else np.flatnonzero(np.isfinite(most_O)).tolist()
    constraints += [_limit(part, output, float(most_O[output])) for output in limited] if most_O is not None else []
    start_D = natural_D[used_D] / natural_D[used_D].sum()
    objective = partial(_objective, part, natural_D[used_D], kl)
    found, message = list[Array](), ""
    # The divergence's slope is infinite at 0, where the solver can stop short: it goes on from a little inside.
    for inward in _INWARD:
        best_D = start_D if not found else min(found, key=lambda x_D: objective(x_D)[0])
        inside_D = (1 - inward) * best_D + inward * start_D
        result = scipy.optimize.minimize(
            objective,
            inside_D,
            jac=True,
            method="SLSQP",
            bounds=[(_LEAST, float(cap)) for cap in caps_D[used_D]],
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-12},
        )
        # Mode 8 says that rounding stopped the line search: at the minimum, as the tolerance is near rounding.
        if result.status in (0, 8) and _kept(part, result.x, most_O):
            found.append(result.x)
        message = result.message
    if not found:
        raise EvidenceError(f"the convex proposal failed: {message}. Loosen the constraints, or measure more.")
    best_D = min(found, key=lambda x_D: objective(x_D)[0])
    x_D = np.zeros(len(natural_D))
    x_D[used_D] = np.clip(np.where(best_D < 1e-9, 0.0, best_D), 0.0, caps_D[used_D])
    return np.asarray(x_D / x_D.sum())


def law_minimum(problem: Problem, laws: Exponential, kl: float) -> Array:
    """Return the mixture under caps and constraints at which the laws' objective is least, shape [D]."""
    parts = Exponentials(problem.objective_S, laws.b_O, laws.t_OD)
    most_O = np.full(len(laws.b_O), np.inf)
    at_natural_O = parts.values(problem.natural)
    for limit in problem.constraints:
        most_O[limit.set] = min(most_O[limit.set], at_natural_O[limit.set] + limit.max_increase - MARGIN)
    return convex_minimum(parts, problem.natural, problem.caps_D, kl=kl, most_O=most_O)


def _objective(laws: Exponentials, natural_D: Array, kl: float, x_D: Array) -> tuple[float, Array]:
    values_O = laws.share_O * laws.values(x_D)
    ratio_D = np.log(np.maximum(x_D, _LEAST) / natural_D)
    return float(values_O.sum() + kl * x_D @ ratio_D), values_O @ laws.t_OD + kl * (ratio_D + 1.0)


def _kept(laws: Exponentials, x_D: Array, most_O: Array | None) -> bool:
    """Return whether the solver's answer is a mixture within the limits; a failed one may be reported as found."""
    within = most_O is None or bool((laws.values(x_D) <= most_O + 1e-5).all())
    return within and abs(float(x_D.sum()) - 1.0) < 1e-5


def _limit(laws: Exponentials, output: int, most: float) -> dict[str, object]:
    return {
        "type": "ineq",
        "fun": lambda x_D: most - laws.values(x_D)[output],
        "jac": lambda x_D: -laws.values(x_D)[output] * laws.t_OD[output],
    }
