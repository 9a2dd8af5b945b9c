"""A Gaussian process on sqrt(weights), without a law: flexible, the best on single web targets."""

from typing import Literal

from tasks.core.params import Params
from tasks.mixture.predictors.predictor import FROM_SCRATCH, FitStart, Measured, Predictor
from tasks.mixture.predictors.process import fit_process


class GpSqrt(Params):
    """Matern-5/2 with a length per domain, plus linear, on standardised sqrt(weights)."""

    kind: Literal["gp_sqrt"] = "gp_sqrt"


def fit_gp_sqrt(params: GpSqrt, measured: Measured, start: FitStart = FROM_SCRATCH) -> Predictor:
    """Fit the process to the losses themselves."""
    process = fit_process(
        measured.weights_RD, measured.losses_RO, measured.objective_O, noise_sd=measured.noise_sd, start_H=start.hyper_H
    )
    return Predictor(params.kind, process, process, measured.objective_O, start=FitStart(process.hyper_H))
