"""Laws with an exponential: L_o(w) = c_o + exp(b_o + t_o . w), one per output.

The data mixing law and olmix's log-linear law are this function; they differ in what c may be, in the penalty, and in
where the search for the best starts.

Axes: R runs, M mixtures, D domains, O outputs, B problems, P parameters (c or log c, b, then t).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from tasks.mixture.predictors.least_squares import Expansion, Prior, Targets, best_of_starts
from tasks.mixture.predictors.predictor import Array


@dataclass(frozen=True)
class Exponential:
    """Fitted laws: c_O, b_O, t_OD, and the range each prediction is held in."""

    c_O: Array
    b_O: Array
    t_OD: Array
    lowest_O: Array
    highest_O: Array

    def mean(self, weights_MD: Array) -> Array:
        """Return the law's value for every mixture and output, shape [M, O]."""
        with np.errstate(over="ignore"):
            values_MO = self.c_O + np.exp(self.b_O + weights_MD @ self.t_OD.T)
        return np.clip(values_MO, self.lowest_O, self.highest_O)


def fit_exponential(
    weights_RD: Array, targets: Targets, prior: Prior, starts_SP: Array, *, log_c: bool
) -> tuple[Array, Array, Array]:
    """Return c_O, b_O and t_OD; with `log_c` the first parameter is log c, so that c is positive."""
    starts_OSP = np.tile(starts_SP, (len(targets.values_BR), 1, 1))
    p_OP = best_of_starts(partial(_model, weights_RD, log_c), targets, prior, starts_OSP)
    return np.exp(p_OP[:, 0]) if log_c else p_OP[:, 0], p_OP[:, 1], p_OP[:, 2:]


def _model(weights_RD: Array, log_c: bool, p_BP: Array) -> Expansion:
    with_one_RE = np.column_stack([np.ones(len(weights_RD)), weights_RD])
    power_BR = np.exp(p_BP[:, 1:] @ with_one_RE.T)
    c_B1 = np.exp(p_BP[:, :1]) if log_c else p_BP[:, :1]
    slopes_BRP = np.empty((*power_BR.shape, p_BP.shape[1]))
    slopes_BRP[..., 0] = c_B1 if log_c else 1.0
    slopes_BRP[..., 1:] = power_BR[..., None] * with_one_RE

    def curvature(factor_BR: Array) -> Array:
        hessian_BPP = np.zeros((len(p_BP), p_BP.shape[1], p_BP.shape[1]))
        if log_c:
            hessian_BPP[:, 0, 0] = factor_BR.sum(axis=1) * c_B1[:, 0]
        hessian_BPP[:, 1:, 1:] = (with_one_RE.T * (factor_BR * power_BR)[:, None, :]) @ with_one_RE
        return hessian_BPP

    return Expansion(c_B1 + power_BR, slopes_BRP, curvature)
