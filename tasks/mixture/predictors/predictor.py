"""What every predictor gives: a mean function, a process on its residual, and a factor that widens its intervals.

Axes: R runs, M mixtures, D domains with a weight, O outputs (losses per domain).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.mixture.predictors.law import Law
from tasks.mixture.predictors.process import GaussianProcess

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What a predictor is fitted on: runs with the same seed, and the noise between seeds where it was measured."""

    weights_RD: Array
    losses_RO: Array
    objective_O: Array
    noise_sd: float | None = None

    @property
    def objective_R(self) -> Array:
        """The objective of each run."""
        return np.asarray(self.losses_RO @ self.objective_O)

    @property
    def noise_share(self) -> float:
        """Noise in units of the objective's standard deviation over runs; 0 when it was not measured."""
        return (self.noise_sd or 0.0) / max(float(self.objective_R.std()), 1e-9)

    def only(self, rows: npt.NDArray[np.int64]) -> "Measured":
        """Return a part of the runs."""
        return replace(self, weights_RD=self.weights_RD[rows], losses_RO=self.losses_RO[rows])


@dataclass(frozen=True)
class Predictor:
    """A fitted predictor. `inflation` multiplies every standard deviation; cross-validation sets it (>= 1)."""

    kind: str
    law: Law | None
    process: GaussianProcess
    objective_O: Array
    inflation: float = 1.0

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture, as fitted."""
        return self.process.noise_sd

    def outputs(self, weights_MD: Array) -> Array:
        """Return the predicted loss of every output, shape [M, O]."""
        residual_MO = self.process.mean(weights_MD)
        return residual_MO if self.law is None else self.law.mean(weights_MD) + residual_MO

    def mean(self, weights_MD: Array) -> Array:
        """Return the predicted objective, shape [M]; it is the weighted sum of `outputs`."""
        return np.asarray(self.outputs(weights_MD) @ self.objective_O)

    def sd(self, weights_MD: Array) -> Array:
        """Return the standard deviation of the objective without noise, shape [M]."""
        return self.inflation * np.sqrt(self.process.variance(weights_MD))

    def gain(self, weights_MD: Array, reference_D: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of objective(reference) - objective(mixture), from the joint posterior.

        Shapes [M]. What two mixtures share is known better than either: the variances must not be added.
        """
        mean_M = self.mean(reference_D[None])[0] - self.mean(weights_MD)
        return mean_M, self.inflation * np.sqrt(self.process.difference_variance(weights_MD, reference_D))

    def believing(self, weights_PD: Array) -> "Predictor":
        """Return the predictor as if these mixtures had been measured and had given just what it predicts."""
        return replace(self, process=self.process.believing(weights_PD))
