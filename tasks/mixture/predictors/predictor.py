"""What every predictor gives: losses of any mixture, and how far the objective may be from what it says.

A fitted predictor is a surface (the losses) and the covariance of the objective's error between mixtures, so that each
method brings whichever surface it likes and every strategy can use each of them.

Axes: R runs, M and N mixtures, P believed mixtures, D domains with a weight, O outputs (losses).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy

from tasks.mixture.earlier_runs.prediction import EarlierPrediction
from tasks.mixture.predictors.calibration import UNCALIBRATED, Calibration

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What a predictor is fitted on: runs with the same seed, and the objective's noise where it was measured.

    `noise_sd` is the standard deviation of one run, without what its seed does to all mixtures alike.
    `earlier` is what an earlier version's table says about the same mixtures, where one was given.
    """

    weights_RD: Array
    losses_RO: Array
    objective_O: Array
    noise_sd: float | None = None
    earlier: EarlierPrediction | None = None

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
class FitStart:
    """Where a fit to nearly the same runs ended: hyper-parameters of a process, parameters of a law per output."""

    hyper_H: Array | None = None
    law_OP: Array | None = None


FROM_SCRATCH = FitStart()


class Surface(Protocol):
    """Predicted losses."""

    def mean(self, weights_MD: Array, /) -> Array:
        """Return the loss of every mixture and output, shape [M, O]."""
        ...


class ErrorCovariance(Protocol):
    """The joint distribution of the objective's errors: no noise of a run in it."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture."""
        ...

    def variance(self, weights_MD: Array, /) -> Array:
        """Return the variance of every mixture, shape [M]."""
        ...

    def covariance(self, weights_MD: Array, weights_ND: Array, /) -> Array:
        """Return the covariance between mixtures, shape [M, N]."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A fitted predictor. `calibration` is a factor on every standard deviation; cross-validation sets it.

    A later fit to nearly the same runs may start from `start`.
    `objective` is there where the objective has a shorter way than over all outputs; it gives the same.
    """

    name: str
    surface: Surface
    error_covariance: ErrorCovariance
    objective_O: Array
    calibration: Calibration = UNCALIBRATED
    pending_PD: Array | None = None
    start: FitStart = FROM_SCRATCH
    objective: Callable[[Array], Array] | None = None

    @property
    def inflation(self) -> float:
        """The factor on standard deviations where the prediction is an average one."""
        return self.calibration.factor

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture, calibrated for an average one."""
        return self.inflation * self.error_covariance.noise_sd

    def outputs(self, weights_MD: Array) -> Array:
        """Return the predicted loss of every output, shape [M, O]."""
        return self.surface.mean(weights_MD)

    def mean(self, weights_MD: Array) -> Array:
        """Return the predicted objective, shape [M]; it is the weighted sum of `outputs`."""
        if self.objective is not None:
            return self.objective(weights_MD)
        return np.asarray(self.outputs(weights_MD) @ self.objective_O)

    def sd(self, weights_MD: Array) -> Array:
        """Return the standard deviation of the objective without noise, shape [M]."""
        return np.asarray(self._scale(weights_MD) * np.sqrt(self._variance(weights_MD)))

    def measured_sd(self, weights_MD: Array) -> Array:
        """Return the standard deviation of what one run would measure, the noise included, shape [M]."""
        noisy_M = np.sqrt(self._variance(weights_MD) + self.error_covariance.noise_sd**2)
        return np.asarray(self._scale(weights_MD) * noisy_M)

    def gain(self, weights_MD: Array, reference_D: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of objective(reference) - objective(mixture), from the joint posterior.

        Shapes [M]. What two mixtures share is known better than either: the variances must not be added.
        """
        both_MD = np.vstack([weights_MD, reference_D])
        # Asked once for the reference and all that is believed: most of the cost is in the mixtures' own part.
        anchors_ND = reference_D[None] if self.pending_PD is None else np.vstack([reference_D, self.pending_PD])
        shared_MN = self.error_covariance.covariance(both_MD, anchors_ND)
        mean_M = self.mean(both_MD)
        scale_M = self.calibration.scale(mean_M)
        variance_M = scale_M**2 * self.error_covariance.variance(both_MD)
        pending_PM = scale_M * self._whitened(shared_MN[:, 1:])
        shared_M = scale_M[:-1] * scale_M[-1] * shared_MN[:-1, 0]
        known_M = ((pending_PM[:, :-1] - pending_PM[:, -1:]) ** 2).sum(axis=0)
        apart_M = variance_M[:-1] + variance_M[-1] - 2 * shared_M - known_M
        return mean_M[-1] - mean_M[:-1], np.sqrt(np.maximum(apart_M, 0.0))

    def kriging_believer(self, weights_PD: Array) -> "Predictor":
        """Return the predictor as if these mixtures had been measured and had given just what it predicts."""
        before = [] if self.pending_PD is None else [self.pending_PD]
        return replace(self, pending_PD=np.vstack([*before, weights_PD]))

    def _scale(self, weights_MD: Array) -> Array | float:
        """Return the calibration's factor; without a slope it needs no prediction."""
        return self.calibration.scale(self.mean(weights_MD)) if self.calibration.slope else self.inflation

    def _variance(self, weights_MD: Array) -> Array:
        variance_M = self.error_covariance.variance(weights_MD) - (self._known_of_pending(weights_MD) ** 2).sum(axis=0)
        return np.asarray(np.maximum(variance_M, 0.0))

    def _known_of_pending(self, weights_MD: Array) -> Array:
        """Return what believed mixtures tell of these, whitened, shape [P, M]; its squares come off the variance."""
        if self.pending_PD is None:
            return np.empty((0, len(weights_MD)))
        return self._whitened(self.error_covariance.covariance(weights_MD, self.pending_PD))

    def _whitened(self, shared_MP: Array) -> Array:
        if self.pending_PD is None:
            return np.empty((0, len(shared_MP)))
        return np.asarray(scipy.linalg.solve_triangular(self._pending_factor_PP, shared_MP.T, lower=True))

    @cached_property
    def _pending_factor_PP(self) -> Array:
        assert self.pending_PD is not None
        covariance_PP = self.error_covariance.covariance(self.pending_PD, self.pending_PD)
        # A believed run would have been measured with noise; a trace more keeps mixtures believed twice apart.
        trace = 1e-9 * float(np.diag(covariance_PP).mean()) + 1e-30
        noise_PP = (self.error_covariance.noise_sd**2 + trace) * np.eye(len(covariance_PP))
        return np.asarray(np.linalg.cholesky(covariance_PP + noise_PP))


@dataclass(frozen=True)
class Sum:
    """A surface and a correction to it."""

    base: Surface
    correction: Surface

    def mean(self, weights_MD: Array) -> Array:
        """Return the loss of every mixture and output, shape [M, O]."""
        return self.base.mean(weights_MD) + self.correction.mean(weights_MD)
