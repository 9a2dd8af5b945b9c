"""Olmix's log-linear law per output: f_i(p) = exp(log c_i) + exp(A_i . p), Huber loss (arXiv 2602.12237, allenai/olmix).

There the sum of Huber losses (delta .02) of the plain losses is minimised by L-BFGS from 300 starts, without a penalty.
Here it is Newton's method on the same sum from fewer starts: ten times as many found nothing better (tests).

Axes: D domains, O outputs, S starts, P parameters (log c, then A; b is 0 because shares sum to 1).
"""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.mixture.predictors.exponential import Exponential, fit_exponential
from tasks.mixture.predictors.law import held_range
from tasks.mixture.predictors.least_squares import Prior, Targets
from tasks.mixture.predictors.left_out import LeftOutErrors
from tasks.mixture.predictors.predictor import Array, Measured, Predictor

# Where log c starts, as in the released code; A starts near 0.
_LOG_C = (-2.0, 1.5)
_A_SPREAD = 0.3
_BOUND = 60.0
# No prior in the released code; so little of one changes no prediction and lets Newton's method invert what is not known.
_PRECISION = 1e-6


class LogLinear(Params):
    """`huber_delta` is in the unit of the losses; `num_starts` searches begin from random A and a grid of log c."""

    kind: Literal["olmix"] = "olmix"
    huber_delta: PositiveFloat = 0.02
    num_starts: PositiveInt = 6
    seed: int = 0


def fit_log_linear(params: LogLinear, measured: Measured) -> Predictor:
    """Fit the law to every output."""
    surface = partial(_surface, params)
    return Predictor(params.kind, surface(measured), LeftOutErrors(surface, measured), measured.objective_O)


def _surface(params: LogLinear, measured: Measured) -> Exponential:
    domains = measured.weights_RD.shape[1]
    # Huber's limit is in units of the error, so with the error as unit it is 1.
    targets = Targets(measured.losses_RO.T, params.huber_delta, huber=1.0)
    bound_P = np.array([_BOUND, 0.0, *([_BOUND] * domains)])
    prior = Prior(np.zeros(domains + 2), np.full(domains + 2, _PRECISION), -bound_P, bound_P)
    c_O, b_O, t_OD = fit_exponential(measured.weights_RD, targets, prior, _starts(params, domains), log_c=True)
    return Exponential(c_O, b_O, t_OD, *held_range(measured.losses_RO))


def _starts(params: LogLinear, domains: int) -> Array:
    draws_SD = generator(params.seed, "olmix", domains).normal(0.0, _A_SPREAD, (params.num_starts, domains))
    log_c_S = np.linspace(*_LOG_C, params.num_starts) if params.num_starts > 1 else np.zeros(1)
    return np.column_stack([log_c_S, np.zeros(params.num_starts), draws_SD])
