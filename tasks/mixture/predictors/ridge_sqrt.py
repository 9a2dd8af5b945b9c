"""Ridge regression on sqrt(weights): the baseline. A process with a linear kernel alone."""

from typing import Literal

from tasks.core.params import Params
from tasks.mixture.predictors.predictor import FROM_SCRATCH, FitStart, Measured, Predictor
from tasks.mixture.predictors.process import Kernel, fit_process


class RidgeSqrt(Params):
    """Linear in standardised sqrt(weights); the penalty is chosen by marginal likelihood."""

    kind: Literal["ridge_sqrt"] = "ridge_sqrt"


def fit_ridge_sqrt(params: RidgeSqrt, measured: Measured, start: FitStart = FROM_SCRATCH) -> Predictor:
    """Fit the linear process to the losses themselves."""
    process = fit_process(
        measured.weights_RD,
        measured.losses_RO,
        measured.objective_O,
        kernel=Kernel.LINEAR,
        noise_sd=measured.noise_sd,
        start_H=start.hyper_H,
    )
    return Predictor(params.kind, process, process, measured.objective_O, start=FitStart(process.hyper_H))
