"""The effective-token power law: L_o(w) = c_o + k_o (e_o + sum_d t_od w_d^b_o)^(-a_o), t >= 0, one law per output.

The sum is how many useful tokens a mixture holds for output o, whatever domain they come from; e_o what the model gets
anyway; b_o < 1 says that more of the same domain is worth less and less. The usual law has b = 1. On RegMix's training
rows b of about .6 halves the error of the law (rank correlation of one web target from 32 runs: .90 to .98), and on the
mixing-laws tables it carries over from 70M to 410M models better than b = 1 does (.97 against .93).

Fitted by penalised least squares in the logarithms.

Axes: R runs, M mixtures, D domains, O outputs, B problems (outputs times starts), P parameters (c, log k, log a, log b,
then log e and log t: E = 1 + D of them).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tasks.mixture.predictors.least_squares import Expansion, Prior, Targets, best_of_starts

Array = npt.NDArray[np.float64]

# Centre and standard deviation of the normal prior on (c, log k, log a, log b, log e) and on log t, in units of the
# output's standard deviation. Checked on RegMix's training table, where the result hardly depends on any but that on b,
# and on the mixing-laws tables (b of .8 and .6 are equally good there).
_CENTRE = (-1.5, -1.0, -0.5, -0.45, -2.0)
_SPREAD = (1.5, 1.5, 0.5, 0.05, 1.5)
_LOG_T = (-2.0, 2.0)
# The search starts from ridge regression on w^b: its slopes, of either sign and in no unit, become t with this factor,
# within these bounds; and from the centre of the prior with log a so much larger (the centre itself is a saddle).
_RIDGE, _SLOPE_TO_T, _T_RANGE = 0.1, 0.3, (0.02, 20.0)
_START_LOG_A = 1.0
# Bounds on the same: outside, powers overflow and nothing changes any more. Useful tokens never grow faster than weight.
_BOUNDS = ((-10.0, 10.0), (-8.0, 8.0), (-4.0, 1.5), (-2.0, 0.0), (-12.0, 6.0))
_LOG_T_BOUNDS = (-12.0, 8.0)
# Where the parts of the effective tokens begin among the parameters.
_PARTS = 4
# A law can explode outside of what was measured (R2 -39 on one published table): predictions stay near the range.
_MARGIN = 0.25


@dataclass(frozen=True)
class Law:
    """Fitted laws of all outputs, the range each prediction is held in, and the parameters as they were searched for."""

    c_O: Array
    k_O: Array
    a_O: Array
    b_O: Array
    e_O: Array
    t_OD: Array
    lowest_O: Array
    highest_O: Array
    p_OP: Array

    def mean(self, weights_MD: Array) -> Array:
        """Return the law's value for every mixture and output, shape [M, O]."""
        log_MD = _log(weights_MD)
        worth_OMD = np.exp(self.b_O[:, None, None] * log_MD)
        effective_MO = self.e_O + (worth_OMD @ self.t_OD[:, :, None])[..., 0].T
        return np.clip(self.c_O + self.k_O * effective_MO ** (-self.a_O), self.lowest_O, self.highest_O)


def fit_law(
    weights_RD: Array, losses_RO: Array, error: float, exponent: float | None = None, start_OP: Array | None = None
) -> Law:
    """Fit one law per output; `error` is what it may be off by, in standard deviations of the output. Deterministic.

    `exponent` fixes b instead of fitting it. `start_OP` are the parameters of a fit to nearly the same runs, where the
    search for the best then starts.
    """
    centre_O, scale_O = standard(losses_RO)
    prior = _prior(weights_RD.shape[1], exponent)
    target_OR = ((losses_RO - centre_O) / scale_O).T
    starts_OSP = _starts(weights_RD, target_OR, prior) if start_OP is None else start_OP[:, None]
    p_OP = best_of_starts(partial(_model, _log(weights_RD)), Targets(target_OR, error), prior, starts_OSP)
    k_O, a_O, b_O, e_O = np.exp(p_OP[:, 1:5]).T
    c_O, t_OD = centre_O + scale_O * p_OP[:, 0], np.exp(p_OP[:, 5:])
    return Law(c_O, scale_O * k_O, a_O, b_O, e_O, t_OD, *held_range(losses_RO), p_OP)


def standard(losses_RO: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of every output, [O] each; a constant output has a tiny one, not 0."""
    return losses_RO.mean(axis=0), np.maximum(losses_RO.std(axis=0), 1e-9)


def held_range(losses_RO: Array) -> tuple[Array, Array]:
    """Return the lowest and highest prediction allowed per output: what was measured and a quarter of it beyond."""
    lowest_O, highest_O = losses_RO.min(axis=0), losses_RO.max(axis=0)
    margin_O = _MARGIN * (highest_O - lowest_O)
    return lowest_O - margin_O, highest_O + margin_O


def _log(weights_MD: Array) -> Array:
    """Return log w, so far down where w is 0 that any power of it is 0."""
    return np.log(np.maximum(weights_MD, 1e-300))


def _prior(domains: int, exponent: float | None) -> Prior:
    centre_P = np.array([*_CENTRE, *([_LOG_T[0]] * domains)])
    spread_P = np.array([*_SPREAD, *([_LOG_T[1]] * domains)])
    lower_P, upper_P = np.array([*_BOUNDS, *([_LOG_T_BOUNDS] * domains)]).T
    if exponent is not None:
        centre_P[3] = lower_P[3] = upper_P[3] = np.log(exponent)
    return Prior(centre_P, spread_P**-2, lower_P, upper_P)


def _starts(weights_RD: Array, target_OR: Array, prior: Prior) -> Array:
    """Return two places to search from for every output, [O, 2, P]."""
    worth_RD = weights_RD ** np.exp(prior.centre_P[3])
    worth_RD = worth_RD - worth_RD.mean(axis=0)
    penalty = _RIDGE * max(float((worth_RD**2).sum(axis=0).mean()), 1e-12)
    slopes_DO = np.linalg.solve(worth_RD.T @ worth_RD + penalty * np.eye(worth_RD.shape[1]), worth_RD.T @ target_OR.T)
    starts_OSP = np.tile(prior.centre_P, (len(target_OR), 2, 1))
    starts_OSP[:, 0, _PARTS + 1 :] = np.log(np.clip(-_SLOPE_TO_T * slopes_DO.T, *_T_RANGE))
    starts_OSP[:, 1, 2] += _START_LOG_A
    return starts_OSP


def _model(log_RD: Array, p_BP: Array) -> Expansion:
    """Return c + k effective^(-a) and its derivatives; effective is the sum of the parts_BRE = e, t_d w_d^b.

    The law depends on log b, log e and log t through the effective tokens alone: U parameters, of which it has the
    derivatives rises_BRU and, for those by log b, bends_BRU of every part.
    """
    k_B1, a_B1, b_B1 = np.exp(p_BP[:, 1:_PARTS]).T[..., None]
    power_BRD = b_B1[..., None] * log_RD
    parts_BRE = np.exp(
        p_BP[:, None, _PARTS:] + np.concatenate([np.zeros((*power_BRD.shape[:2], 1)), power_BRD], axis=2)
    )
    by_b_BRD = parts_BRE[..., 1:] * power_BRD
    rises_BRU = np.concatenate([by_b_BRD.sum(axis=2, keepdims=True), parts_BRE], axis=2)
    effective_BR = parts_BRE.sum(axis=2)
    log_BR = np.log(effective_BR)
    power_BR = k_B1 * np.exp(-a_B1 * log_BR)
    slope_BR, exponent_BR = -a_B1 * power_BR / effective_BR, -a_B1 * log_BR
    slopes_BRP = np.empty((*power_BR.shape, p_BP.shape[1]))
    slopes_BRP[..., 0], slopes_BRP[..., 1], slopes_BRP[..., 2] = 1.0, power_BR, exponent_BR * power_BR
    np.multiply(slope_BR[..., None], rises_BRU, out=slopes_BRP[..., 3:])

    def curvature(factor_BR: Array) -> Array:
        def total(values_BR: Array) -> Array:
            return np.asarray((factor_BR * values_BR).sum(axis=1))

        def spread(values_BR: Array, parts_BRX: Array) -> Array:
            return np.asarray(((factor_BR * values_BR)[:, None, :] @ parts_BRX)[:, 0])

        hessian_BPP = np.zeros((len(p_BP), p_BP.shape[1], p_BP.shape[1]))
        hessian_BPP[:, 1, 1] = total(power_BR)
        hessian_BPP[:, 1, 2] = hessian_BPP[:, 2, 1] = total(exponent_BR * power_BR)
        hessian_BPP[:, 2, 2] = total((1 + exponent_BR) * exponent_BR * power_BR)
        hessian_BPP[:, 1, 3:] = hessian_BPP[:, 3:, 1] = by_rise_BU = spread(slope_BR, rises_BRU)
        hessian_BPP[:, 2, 3:] = hessian_BPP[:, 3:, 2] = spread(slope_BR * (1 + exponent_BR), rises_BRU)
        bend_BR = factor_BR * (a_B1 + 1) * -slope_BR / effective_BR
        hessian_BPP[:, 3:, 3:] = (rises_BRU * bend_BR[..., None]).transpose(0, 2, 1) @ rises_BRU
        index = np.arange(_PARTS, p_BP.shape[1])
        hessian_BPP[:, index, index] += by_rise_BU[:, 1:]
        across_BD = spread(slope_BR, by_b_BRD)
        hessian_BPP[:, 3, 5:] += across_BD
        hessian_BPP[:, 5:, 3] += across_BD
        hessian_BPP[:, 3, 3] += spread(slope_BR, by_b_BRD * (1 + power_BRD)).sum(axis=1)
        return hessian_BPP

    return Expansion(p_BP[:, :1] + power_BR, slopes_BRP, curvature)
