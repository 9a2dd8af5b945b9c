"""The exponential mixing law: L_i(r) = c_i + k_i exp(sum_j t_ij r_j) (Ye et al., arXiv 2403.16952, equation 7).

Axes: R runs, D domains, O outputs, P parameters (c, log k, t).
"""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import PositiveFloat

from tasks.core.params import Params
from tasks.mixture.predictors.exponential import Exponential, fit_exponential
from tasks.mixture.predictors.law import held_range, standard
from tasks.mixture.predictors.least_squares import Prior, Targets
from tasks.mixture.predictors.left_out import LeftOutErrors
from tasks.mixture.predictors.predictor import Array, Measured, Predictor

# Of the normal prior, in standard deviations of a loss: c lies below the mean, k makes up for it, shares may do anything.
_CENTRE, _SPREAD, _T_SPREAD = (-1.5, 0.4), (1.5, 1.5), 3.0
_BOUND = 30.0


class MixingLaw(Params):
    """`error` is what the law may be off by, in standard deviations of a loss; measured noise raises it."""

    kind: Literal["mixing_law"] = "mixing_law"
    error: PositiveFloat = 0.05


def fit_mixing_law(params: MixingLaw, measured: Measured) -> Predictor:
    """Fit the law to every output by penalised least squares; k > 0, t of either sign."""
    surface = partial(_surface, params)
    return Predictor(params.kind, surface(measured), LeftOutErrors(surface, measured), measured.objective_O)


def _surface(params: MixingLaw, measured: Measured) -> Exponential:
    centre_O, scale_O = standard(measured.losses_RO)
    targets = Targets(((measured.losses_RO - centre_O) / scale_O).T, max(params.error, measured.noise_share))
    prior = _prior(measured.weights_RD.shape[1])
    starts_SP = np.repeat(prior.centre_P[None], 2, axis=0)
    starts_SP[1, :2] += (0.7, -0.7)
    c_O, b_O, t_OD = fit_exponential(measured.weights_RD, targets, prior, starts_SP, log_c=False)
    return Exponential(centre_O + scale_O * c_O, np.log(scale_O) + b_O, t_OD, *held_range(measured.losses_RO))


def _prior(domains: int) -> Prior:
    spread_P: Array = np.array([*_SPREAD, *([_T_SPREAD] * domains)])
    bound_P = np.full(domains + 2, _BOUND)
    return Prior(np.array([*_CENTRE, *([0.0] * domains)]), spread_P**-2, -bound_P, bound_P)
