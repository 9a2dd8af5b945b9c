"""Many small nonlinear least-squares problems at once: Newton's method with normal priors and exact second derivatives.

A law of 13 losses from two starts is 26 problems of one shape; together they cost little more than one. Gauss and
Newton's shortcut needs ten times the steps here: laws do not fit exactly, so what it leaves out is not small.

Axes: B problems, R runs, P parameters, O outputs, S starts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MAX_STEPS = 400
# A problem is settled when so many steps in a row gain less than this, relative to what is minimised. One alone may just
# have been damped too much.
_TOLERANCE, _CALM_STEPS = 1e-5, 3
# Added to every eigenvalue of the Hessian; divided by 5 after a step that helped, times 6 after one that did not.
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 10.0, 1e-8, 1e12
# A step that fails this often, shorter each time, leads nowhere: that is the optimum in floating point.
_MAX_FAILURES = 12


@dataclass(frozen=True)
class Expansion:
    """A model at parameters [B, P]: values [B, R], first derivatives [B, R, P], and the second ones in use.

    `curvature(factor_BR)` is the sum over runs of factor times the second derivatives, shape [B, P, P].
    """

    values_BR: Array
    slopes_BRP: Array
    curvature: Callable[[Array], Array]


# The same function for every problem; it is called with the parameters of some of them.
Model = Callable[[Array], Expansion]


@dataclass(frozen=True)
class Prior:
    """Independent normal priors on the parameters and hard bounds, each [P]. A precision of 0 is no prior."""

    centre_P: Array
    precision_P: Array
    lower_P: Array
    upper_P: Array


@dataclass(frozen=True)
class Targets:
    """What to fit, [B, R], and what it may be off by; beyond `huber` errors the penalty is linear (None = never)."""

    values_BR: Array
    error: float
    huber: float | None = None

    def only(self, problems: npt.NDArray[np.int64]) -> "Targets":
        """Return some of the problems."""
        return Targets(self.values_BR[problems], self.error, self.huber)


def best_of_starts(model: Model, targets: Targets, prior: Prior, starts_OSP: Array) -> Array:
    """Return the best parameters of every target, [O, P], of those found from each of its starts."""
    outputs, starts = starts_OSP.shape[:2]
    repeated = targets.only(np.repeat(np.arange(outputs), starts))
    p_BP, loss_B = solve(model, repeated, prior, starts_OSP.reshape(outputs * starts, -1))
    best_O = loss_B.reshape(outputs, starts).argmin(axis=1)
    return np.asarray(p_BP.reshape(outputs, starts, -1)[np.arange(outputs), best_O])


def solve(model: Model, targets: Targets, prior: Prior, starts_BP: Array) -> tuple[Array, Array]:
    """Return the parameters [B, P] and the minima [B] of sum rho((value - target) / error) + half the squared priors.

    rho(u) = u^2 / 2, or Huber's function. Directions of negative curvature are followed downhill (the eigenvalue's size
    counts). Deterministic; a problem does not depend on those solved beside it.
    """
    p_BP = np.clip(starts_BP, prior.lower_P, prior.upper_P)
    loss_B, gradient_BP, hessian_BPP = _objective(model, targets, prior, p_BP)
    damping_B = np.full(len(p_BP), _DAMPING)
    failures_B, calm_B = np.zeros((2, len(p_BP)), dtype=np.int64)
    active = np.flatnonzero(np.isfinite(loss_B))
    for _ in range(_MAX_STEPS):
        if not len(active):
            break
        step_BP = _step(prior, p_BP[active], hessian_BPP[active], gradient_BP[active], damping_B[active])
        tried_BP = np.clip(p_BP[active] + step_BP, prior.lower_P, prior.upper_P)
        tried_B, tried_gradient_BP, tried_hessian_BPP = _objective(model, targets.only(active), prior, tried_BP)
        better_B = tried_B < loss_B[active]
        little_B = loss_B[active] - tried_B < _TOLERANCE * (1 + tried_B)
        won = active[better_B]
        p_BP[won], loss_B[won] = tried_BP[better_B], tried_B[better_B]
        gradient_BP[won], hessian_BPP[won] = tried_gradient_BP[better_B], tried_hessian_BPP[better_B]
        damping_B[active] = np.clip(damping_B[active] * np.where(better_B, 0.2, 6.0), _LEAST_DAMPING, _MOST_DAMPING)
        failures_B[active] = np.where(better_B, 0, failures_B[active] + 1)
        calm_B[active] = np.where(better_B, np.where(little_B, calm_B[active] + 1, 0), calm_B[active])
        active = active[(calm_B[active] < _CALM_STEPS) & (failures_B[active] < _MAX_FAILURES)]
    return p_BP, loss_B


def _step(prior: Prior, p_BP: Array, hessian_BPP: Array, gradient_BP: Array, damping_B: Array) -> Array:
    """Return the damped step; a parameter that is pushed against its bound stays there and bends no other's step."""
    held_BP = ((p_BP <= prior.lower_P) & (gradient_BP > 0)) | ((p_BP >= prior.upper_P) & (gradient_BP < 0))
    held_BP |= prior.lower_P == prior.upper_P
    if held_BP.any():
        gradient_BP = np.where(held_BP, 0.0, gradient_BP)
        hessian_BPP = np.where(held_BP[:, :, None] | held_BP[:, None, :], np.diag(np.ones(p_BP.shape[1])), hessian_BPP)
    values_BP, vectors_BPP = np.linalg.eigh(hessian_BPP)
    along_BP = (vectors_BPP.transpose(0, 2, 1) @ gradient_BP[..., None])[..., 0]
    along_BP = along_BP / (np.abs(values_BP) + damping_B[:, None])
    return np.asarray(-(vectors_BPP @ along_BP[..., None])[..., 0])


def _objective(model: Model, targets: Targets, prior: Prior, p_BP: Array) -> tuple[Array, Array, Array]:
    """Return what is minimised [B], its gradient [B, P] and its Hessian [B, P, P]; inf where anything overflows."""
    # A step too far overflows; its loss is inf, so it is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        at = model(p_BP)
        error_BR = (at.values_BR - targets.values_BR) / targets.error
        limit = np.inf if targets.huber is None else targets.huber
        pull_BR = np.clip(error_BR, -limit, limit)
        rho_BR = pull_BR * (error_BR - 0.5 * pull_BR)
        off_BP = p_BP - prior.centre_P
        loss_B = rho_BR.sum(axis=1) + 0.5 * (prior.precision_P * off_BP**2).sum(axis=1)
        gradient_BP = (pull_BR[:, None, :] @ at.slopes_BRP)[:, 0] / targets.error + prior.precision_P * off_BP
        inside_BRP = at.slopes_BRP if targets.huber is None else at.slopes_BRP * (pull_BR == error_BR)[..., None]
        hessian_BPP = inside_BRP.transpose(0, 2, 1) @ at.slopes_BRP / targets.error**2
        hessian_BPP += at.curvature(pull_BR / targets.error) + np.diag(prior.precision_P)
    finite_B = np.isfinite(loss_B) & np.isfinite(hessian_BPP).all(axis=(1, 2)) & np.isfinite(gradient_BP).all(axis=1)
    return np.where(finite_B, loss_B, np.inf), gradient_BP, hessian_BPP
