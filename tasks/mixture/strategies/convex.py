"""The minimum of a sum of exponentials with a divergence from natural, on the simplex under caps: a convex problem.

    min_x  sum_o s_o exp(b_o + t_o . x) + kl KL(x || natural),   0 <= x <= caps, sum x = 1,
           c_o + exp(b_o + t_o . x) <= most_o   for the held-out sets with a constraint
           at_least_g <= sum of x over g <= at_most_g   for the sets of domains with a limit

Axes: D domains, O outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse

from tasks.core.errors import EvidenceError
from tasks.mixture.limits import Limit
from tasks.mixture.predictors.exponential import Exponential
from tasks.mixture.problem import Problem
from tasks.mixture.strategies.evidence import MARGIN

Array = npt.NDArray[np.float64]

# Shares below it are none: the solver comes as near to 0 as its tolerance.
_LEAST = 1e-9


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
    laws: Exponentials,
    natural_D: Array,
    caps_D: Array,
    *,
    kl: float,
    most_O: Array | None = None,
    limits: Sequence[Limit] = (),
) -> Array:
    """Return the minimiser, shape [D]; `most_O` bounds values of single outputs (infinite = no bound).

    A domain without natural weight or room stays at 0.

    Raises:
        EvidenceError: the solver found no mixture within the bounds.
    """
    used_D = (caps_D > 0) & (natural_D > 0)
    part = Exponentials(laws.share_O, laws.b_O, laws.t_OD[:, used_D])
    free_D = natural_D[used_D] / natural_D[used_D].sum()
    best_D = _solved(part, free_D, caps_D[used_D], kl, most_O, _sums(limits, used_D))
    x_D = np.zeros(len(natural_D))
    x_D[used_D] = np.clip(np.where(best_D < _LEAST, 0.0, best_D), 0.0, caps_D[used_D])
    return np.asarray(x_D / x_D.sum())


def law_minimum(problem: Problem, laws: Exponential, kl: float) -> Array:
    """Return the mixture under caps and constraints at which the laws' objective is least, shape [D]."""
    parts = Exponentials(problem.objective_S, laws.b_O, laws.t_OD)
    most_O = np.full(len(laws.b_O), np.inf)
    at_natural_O = parts.values(problem.natural)
    for limit in problem.constraints:
        most_O[limit.set] = min(most_O[limit.set], at_natural_O[limit.set] + limit.max_increase - MARGIN)
    return convex_minimum(parts, problem.natural, problem.caps_D, kl=kl, most_O=most_O, limits=problem.limits)


def _sums(limits: Sequence[Limit], used_D: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the limits as rows over the domains in use and what each row may be at most, shapes [L, D] and [L]."""
    member_GD = np.zeros((len(limits), len(used_D)))
    for row_D, limit in zip(member_GD, limits, strict=True):
        row_D[list(limit.members)] = 1.0
    at_least, at_most = [-limit.at_least for limit in limits], [limit.at_most for limit in limits]
    return np.vstack([member_GD, -member_GD])[:, used_D], np.array([*at_most, *at_least])


def _solved(
    laws: Exponentials,
    natural_D: Array,
    caps_D: Array,
    kl: float,
    most_O: Array | None,
    sums: tuple[Array, Array],
) -> Array:
    """Return the minimiser of a conic program, over x_D, v_O >= exp(b + t . x) and r_D >= x log(x / natural).

    Exponential cones {(a, y, z): y exp(a / y) <= z} hold what is not linear: (b + t . x, 1, v) and (-r, x, natural).
    """
    # No part of what trains alone; the rest of the engine runs without it.
    import clarabel

    number_of_outputs, number = laws.t_OD.shape
    x, v = (
        np.eye(number, 2 * number + number_of_outputs),
        np.eye(number_of_outputs, 2 * number + number_of_outputs, number),
    )
    r = np.eye(number, 2 * number + number_of_outputs, number + number_of_outputs)
    limited_O = np.zeros(number_of_outputs, np.bool_) if most_O is None else np.isfinite(most_O)
    bounds = [caps_D, np.zeros(0) if most_O is None else most_O[limited_O], sums[1]]
    below = [(np.vstack([x, v[limited_O], sums[0] @ x]), np.concatenate(bounds))]
    rows = [(x.sum(axis=0, keepdims=True), np.ones(1)), *below]
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(len(below[0][1]))]
    nothing = np.zeros(x.shape[1])
    for t_D, b, value in zip(laws.t_OD, laws.b_O, v, strict=True):
        rows.append((np.stack([-t_D @ x, nothing, -value]), np.array([b, 1.0, 0.0])))
    for share, divergence, natural in zip(x, r, natural_D, strict=True):
        rows.append((np.stack([divergence, -share, nothing]), np.array([0.0, 0.0, natural])))
    cones += [clarabel.ExponentialConeT()] * (number_of_outputs + number)
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    found = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix((x.shape[1], x.shape[1])),
        laws.share_O @ v + kl * r.sum(axis=0),
        scipy.sparse.csc_matrix(np.vstack([row for row, _ in rows])),
        np.concatenate([bound for _, bound in rows]),
        cones,
        settings,
    ).solve()
    if found.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
        raise EvidenceError(f"the convex proposal failed: {found.status}. Loosen the constraints, or measure more.")
    return np.array(found.x[:number])
