"""The effective-token power law: L_o(w) = c_o + k_o (e_o + t_o . w)^(-a_o), t >= 0, one law per output.

t_o . w is how many useful tokens a mixture holds for output o, whatever domain they come from; e_o what the model gets
anyway. Fitted by penalised least squares in the logarithms.

Axes: R runs, M mixtures, D domains, O outputs, P parameters.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]

# Centre and standard deviation of the normal prior on (c, log k, log e, log a) and on log t, in units of the output's
# standard deviation. Tuned on held-out rows of RegMix's training table, where the result hardly depends on them.
_CENTRE = (-1.5, -1.0, -2.0, -0.5)
_SPREAD = (1.5, 1.5, 1.5, 0.5)
_LOG_T = (-2.0, 2.0)
_STARTS = (0.0, 1.0)
# Bounds on (c, log k, log e, log a) and on log t: outside, powers overflow and nothing changes any more.
_BOUNDS = ((-10.0, 10.0), (-8.0, 8.0), (-12.0, 6.0), (-4.0, 1.5))
_LOG_T_BOUNDS = (-12.0, 8.0)
# A law can explode outside of what was measured (R2 -39 on one published table): predictions stay near the range.
_MARGIN = 0.25


@dataclass(frozen=True)
class Law:
    """Fitted laws of all outputs: c_O, k_O, e_O, a_O, t_OD, and the range each prediction is held in."""

    c_O: Array
    k_O: Array
    e_O: Array
    a_O: Array
    t_OD: Array
    lowest_O: Array
    highest_O: Array

    def mean(self, weights_MD: Array) -> Array:
        """Return the law's value for every mixture and output, shape [M, O]."""
        effective_MO = self.e_O + weights_MD @ self.t_OD.T
        return np.clip(self.c_O + self.k_O * effective_MO ** (-self.a_O), self.lowest_O, self.highest_O)


def fit_law(weights_RD: Array, losses_RO: Array, error: float) -> Law:
    """Fit one law per output; `error` is what it may be off by, in standard deviations of the output. Deterministic."""
    fits = [_fit_output(weights_RD, losses_R, error) for losses_R in losses_RO.T]
    c_O, k_O, e_O, a_O = np.array([fit[0] for fit in fits]).T
    lowest_O, highest_O = losses_RO.min(axis=0), losses_RO.max(axis=0)
    margin_O = _MARGIN * (highest_O - lowest_O)
    return Law(c_O, k_O, e_O, a_O, np.array([fit[1] for fit in fits]), lowest_O - margin_O, highest_O + margin_O)


def _fit_output(weights_RD: Array, losses_R: Array, error: float) -> tuple[tuple[float, float, float, float], Array]:
    centre, scale = float(losses_R.mean()), max(float(losses_R.std()), 1e-9)
    prior_P = np.array([*_CENTRE, *([_LOG_T[0]] * weights_RD.shape[1])])
    spread_P = np.array([*_SPREAD, *([_LOG_T[1]] * weights_RD.shape[1])])
    loss = partial(_loss, weights_RD, (losses_R - centre) / scale, error, prior_P, spread_P)
    fits = []
    for shift in _STARTS:
        start_P = prior_P.copy()
        start_P[3] += shift
        bounds = [*_BOUNDS, *([_LOG_T_BOUNDS] * weights_RD.shape[1])]
        fits.append(minimize(loss, start_P, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 400}))
    best_P = min(fits, key=lambda fit: float(fit.fun)).x
    k, e, a = np.exp(best_P[1:4])
    return (float(centre + scale * best_P[0]), float(scale * k), float(e), float(a)), np.exp(best_P[4:])


def _loss(
    weights_RD: Array, target_R: Array, error: float, prior_P: Array, spread_P: Array, p_P: Array
) -> tuple[float, Array]:
    """Return half the penalised squared error and its gradient."""
    k, e, a = np.exp(p_P[1:4])
    t_D = np.exp(p_P[4:])
    effective_R = e + weights_RD @ t_D
    power_R = k * effective_R ** (-a)
    error_R = (p_P[0] + power_R - target_R) / error**2
    slope_R = -a * power_R / effective_R * error_R
    off_P = (p_P - prior_P) / spread_P
    gradient_P = off_P / spread_P
    gradient_P[0] += error_R.sum()
    gradient_P[1] += error_R @ power_R
    gradient_P[2] += e * slope_R.sum()
    gradient_P[3] += -a * (error_R * power_R) @ np.log(effective_R)
    gradient_P[4:] += t_D * (slope_R @ weights_RD)
    return float(0.5 * error**2 * error_R @ error_R + 0.5 * off_P @ off_P), gradient_P
