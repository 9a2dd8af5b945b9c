"""Ridge regression on sqrt(weights): the baseline. The same process with its linear kernel alone."""

from typing import Literal

from tasks.core.params import Params
from tasks.mixture.predictors.predictor import Measured, Predictor
from tasks.mixture.predictors.process import fit_process


class RidgeSqrt(Params):
    """Linear in standardised sqrt(weights); the penalty is chosen by marginal likelihood."""

    kind: Literal["ridge_sqrt"] = "ridge_sqrt"


def fit_ridge_sqrt(params: RidgeSqrt, measured: Measured) -> Predictor:
    """Fit the linear process to the losses themselves."""
    process = fit_process(
        measured.weights_RD, measured.losses_RO, measured.objective_O, with_matern=False, noise_sd=measured.noise_sd
    )
    return Predictor(params.kind, None, process, measured.objective_O)
