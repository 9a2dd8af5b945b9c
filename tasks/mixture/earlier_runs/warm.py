"""What an earlier version's table predicts, rescaled to today's runs, plus a Gaussian process on what that leaves over."""

from typing import Literal

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.mixture.earlier_runs.prediction import warm_mean
from tasks.mixture.predictors.predictor import FROM_SCRATCH, FitStart, Measured, Predictor, Sum
from tasks.mixture.predictors.process import fit_process


class Warm(Params):
    """Only offered where an earlier table was given: its prediction is the mean function."""

    kind: Literal["warm"] = "warm"


def fit_warm(params: Warm, measured: Measured, start: FitStart = FROM_SCRATCH) -> Predictor:
    """Rescale the earlier prediction per held-out set, then fit the process to the residuals.

    Raises:
        ConfigError: there is no earlier table.
    """
    if measured.earlier is None:
        raise ConfigError(
            "the predictor `warm` needs an earlier table of runs: name search.earlier_runs, or leave it out."
        )
    mean = warm_mean(measured.earlier, measured.weights_RD, measured.losses_RO)
    residuals_RO = measured.losses_RO - mean.mean(measured.weights_RD)
    process = fit_process(
        measured.weights_RD, residuals_RO, measured.objective_O, noise_sd=measured.noise_sd, start_H=start.hyper_H
    )
    return Predictor(params.kind, Sum(mean, process), process, measured.objective_O, start=FitStart(process.hyper_H))
