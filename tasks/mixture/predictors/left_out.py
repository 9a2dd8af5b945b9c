"""Error covariance of predictors without a posterior of their own: how errors on runs left out depend on the distance.

Axes: R runs, M and N mixtures, D domains, O outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.mixture.predictors.predictor import Array, Measured, Surface
from tasks.mixture.predictors.process import GaussianProcess, Kernel, fit_process

Fit = Callable[[Measured], Surface]
_FOLDS = 5


@dataclass(frozen=True)
class LeftOutErrors:
    """The error covariance of a surface from refits without a fifth of the runs; nothing is computed before it is asked for.

    The errors on runs left out are a Gaussian process with one length: near a run the error is known to be small, far
    from all it is as large as the errors were.
    """

    fit: Fit
    measured: Measured

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture."""
        return self._process.noise_sd

    def variance(self, weights_MD: Array) -> Array:
        """Return the variance of every mixture, shape [M]."""
        return self._process.variance(weights_MD)

    def covariance(self, weights_MD: Array, weights_ND: Array) -> Array:
        """Return the covariance between mixtures, shape [M, N]."""
        return self._process.covariance(weights_MD, weights_ND)

    @cached_property
    def _process(self) -> GaussianProcess:
        measured = self.measured
        runs = len(measured.weights_RD)
        fold_R = np.arange(runs) % min(_FOLDS, runs)
        error_R = np.empty(runs)
        for fold in range(fold_R.max() + 1):
            out, rest = np.flatnonzero(fold_R == fold), np.flatnonzero(fold_R != fold)
            predicted_MO = self.fit(measured.only(rest)).mean(measured.weights_RD[out])
            error_R[out] = measured.objective_R[out] - predicted_MO @ measured.objective_O
        return fit_process(
            measured.weights_RD, error_R[:, None], np.ones(1), kernel=Kernel.ISOTROPIC, noise_sd=measured.noise_sd
        )
