"""The effective-token power law alone: no process on what it leaves over, so it extrapolates as a law does.

Of all predictors its ranking carries over best from small models to large ones on RegMix's tables (recipe of the
project: rank correlation .988 on 1B models from 128 runs of 1M models, one web target).
"""

from functools import partial
from typing import Literal

from pydantic import Field, PositiveFloat

from tasks.core.params import Params
from tasks.mixture.predictors.law import Law, fit_law
from tasks.mixture.predictors.left_out import LeftOutErrors
from tasks.mixture.predictors.predictor import FROM_SCRATCH, Array, FitStart, Measured, Predictor


class PowerLaw(Params):
    """`error` is what the law may be off by, in standard deviations of a loss; measured noise raises it.

    `exponent` fixes what the weight of a domain is raised to; null fits it.
    """

    kind: Literal["power_law"] = "power_law"
    error: PositiveFloat = 0.05
    exponent: float | None = Field(default=None, gt=0, le=1)


def fit_power_law(params: PowerLaw, measured: Measured, start: FitStart = FROM_SCRATCH) -> Predictor:
    """Fit the law to every output."""
    law = _law(params, start.law_OP, measured)
    errors = LeftOutErrors(partial(_law, params, law.p_OP), measured)
    return Predictor(params.kind, law, errors, measured.objective_O, start=FitStart(law_OP=law.p_OP))


def _law(params: PowerLaw, start_OP: Array | None, measured: Measured) -> Law:
    error = max(params.error, measured.noise_share)
    return fit_law(measured.weights_RD, measured.losses_RO, error, params.exponent, start_OP)
