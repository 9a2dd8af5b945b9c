"""All predictors: the union of their params, and the one place that chooses the function that fits one."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.mixture.earlier_runs.warm import Warm, fit_warm
from tasks.mixture.predictors.gp_sqrt import GpSqrt, fit_gp_sqrt
from tasks.mixture.predictors.law_gp import LawGp, fit_law_gp
from tasks.mixture.predictors.linear import Linear, fit_linear
from tasks.mixture.predictors.log_linear import LogLinear, fit_log_linear
from tasks.mixture.predictors.mixing_law import MixingLaw, fit_mixing_law
from tasks.mixture.predictors.power_law import PowerLaw, fit_power_law
from tasks.mixture.predictors.predictor import FROM_SCRATCH, FitStart, Measured, Predictor
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt, fit_ridge_sqrt
from tasks.mixture.predictors.trees import Lightgbm, fit_lightgbm

PredictorParams = Annotated[
    GpSqrt | LawGp | Lightgbm | Linear | MixingLaw | LogLinear | PowerLaw | RidgeSqrt | Warm,
    Field(discriminator="kind"),
]


def fit(params: PredictorParams, measured: Measured, start: FitStart = FROM_SCRATCH) -> Predictor:
    """Fit one predictor; `start` is where its fit to nearly the same runs ended."""
    match params:
        case GpSqrt():
            predictor = fit_gp_sqrt(params, measured, start)
        case LawGp():
            predictor = fit_law_gp(params, measured, start)
        case Lightgbm():
            predictor = fit_lightgbm(params, measured)
        case Linear():
            predictor = fit_linear(params, measured)
        case MixingLaw():
            predictor = fit_mixing_law(params, measured)
        case LogLinear():
            predictor = fit_log_linear(params, measured)
        case PowerLaw():
            predictor = fit_power_law(params, measured, start)
        case RidgeSqrt():
            predictor = fit_ridge_sqrt(params, measured, start)
        case Warm():
            predictor = fit_warm(params, measured, start)
        case _:
            assert_never(params)
    return predictor
