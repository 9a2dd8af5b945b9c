"""Gaussian process over mixtures: Matern-5/2 plus linear kernel on standardised sqrt(weights), several outputs at once.

Axes: R runs, M and N mixtures, D domains with a weight, O outputs (losses), H hyper-parameters (log noise, linear and
Matern variance, then a log length per domain or one for all).

All outputs share one kernel, whose hyper-parameters are those of the objective (a weighted sum of the outputs). The
posterior mean is linear in the observations, so that predictions per output sum to the prediction of the objective.
sqrt(w) is the feature because it matters more than the model class (rank correlations on RegMix's published tables:
sqrt(w) > log(w + 0.01) >> w).
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[np.float64]

_SQRT5 = 5**0.5
# Log-normal priors on hyper-parameters, in units of the residual's variance: (centre, standard deviation). Weak; they
# keep a fit of 20 runs with a length per domain from switching domains off. Checked on RegMix's training table.
_LINEAR, _MATERN, _NOISE = (0.0, 1.5), (-0.7, 1.5), (-4.0, 2.0)
_LENGTH_SD = 0.7
_NOISE_SD_WHEN_REPEATED = 1.0
_CONSTANT = 1.0
_BOUNDS = (-14.0, 7.0)
# Lengths below a twentieth of a feature's standard deviation tell nothing from noise; far below, distances lose their digits
# and the kernel is no longer positive definite.
_LENGTH_BOUNDS = (-3.0, 7.0)
# Of the optimiser: enough for hyper-parameters; from a fit of nearly the same runs a few steps are.
_TOLERANCE, _MAX_STEPS = 1e-5, 100


class Kernel(Enum):
    """Which parts the kernel has: linear alone, or with a Matern part that has one length, or one per domain."""

    LINEAR = 0
    ISOTROPIC = 1
    PER_DOMAIN = 2


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process. `scale` is the objective's residual standard deviation, in the unit of the losses."""

    hyper_H: Array
    centre_D: Array
    spread_D: Array
    features_RD: Array
    residuals_RO: Array
    offset_O: Array
    scale: float

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture, as the fit sees it."""
        return float(self.scale * np.exp(0.5 * self.hyper_H[0]))

    def features(self, weights_MD: Array) -> Array:
        """Return standardised sqrt(weights)."""
        return (np.sqrt(weights_MD) - self.centre_D) / self.spread_D

    def mean(self, weights_MD: Array) -> Array:
        """Return the posterior mean of every output, shape [M, O]."""
        cross_MR = _kernel(self.features(weights_MD), self.features_RD, self.hyper_H)
        return self.offset_O + cross_MR @ self._alpha_RO

    def variance(self, weights_MD: Array) -> Array:
        """Return the posterior variance of the objective without noise, shape [M]."""
        features_MD = self.features(weights_MD)
        linear, matern = _variances(self.hyper_H)
        prior_M = _CONSTANT + linear * (features_MD**2).mean(axis=1) + matern
        reduced_M = prior_M - (self._whitened(features_MD) ** 2).sum(axis=0)
        return np.asarray(self.scale**2 * np.maximum(reduced_M, 0.0))

    def covariance(self, weights_MD: Array, weights_ND: Array) -> Array:
        """Return the posterior covariance of the objective between mixtures, without noise, shape [M, N]."""
        features_MD, features_ND = self.features(weights_MD), self.features(weights_ND)
        known_MN = self._whitened(features_MD).T @ self._whitened(features_ND)
        return np.asarray(self.scale**2 * (_kernel(features_MD, features_ND, self.hyper_H) - known_MN))

    def _whitened(self, features_MD: Array) -> Array:
        return np.asarray(self._whitener_RR @ _kernel(self.features_RD, features_MD, self.hyper_H))

    @cached_property
    def _alpha_RO(self) -> Array:
        return np.asarray(self._whitener_RR.T @ (self._whitener_RR @ self.residuals_RO))

    @cached_property
    def _whitener_RR(self) -> Array:
        kernel_RR = _kernel(self.features_RD, self.features_RD, self.hyper_H)
        kernel_RR[np.diag_indices_from(kernel_RR)] += np.exp(self.hyper_H[0])
        inverse, failed = scipy.linalg.lapack.dtrtri(_factor(kernel_RR), lower=1)
        if failed:
            raise scipy.linalg.LinAlgError("the kernel of the measured mixtures is singular")
        return np.asarray(inverse)


def fit_process(
    weights_RD: Array,
    residuals_RO: Array,
    objective_O: Array,
    *,
    kernel: Kernel = Kernel.PER_DOMAIN,
    noise_sd: float | None = None,
    start_H: Array | None = None,
) -> GaussianProcess:
    """Fit hyper-parameters by the marginal likelihood of the objective with log-normal priors.

    `noise_sd` is the standard deviation of one run where mixtures were repeated, without what its seed does to all of
    them alike, in the objective's units. `start_H` are the hyper-parameters of an earlier fit to nearly the same runs; the
    search for the best starts there alone.
    """
    root_RD = np.sqrt(weights_RD)
    # A domain whose weight never changes carries no information; its spread of 0 must not become a division by 0.
    spread_D = np.where(root_RD.std(axis=0) > 1e-9, root_RD.std(axis=0), 1.0)
    features_RD = (root_RD - root_RD.mean(axis=0)) / spread_D
    offset_O = residuals_RO.mean(axis=0)
    objective_R = (residuals_RO - offset_O) @ objective_O
    scale = max(float(objective_R.std()), 1e-9)
    noise = _NOISE if noise_sd is None else (2 * np.log(max(noise_sd / scale, 1e-4)), _NOISE_SD_WHEN_REPEATED)
    hyper_H = _fit_hyper(features_RD, objective_R / scale, noise, kernel, start_H)
    return GaussianProcess(
        hyper_H, root_RD.mean(axis=0), spread_D, features_RD, residuals_RO - offset_O, offset_O, scale
    )


def _fit_hyper(
    features_RD: Array, target_R: Array, noise: tuple[float, float], kernel: Kernel, start_H: Array | None
) -> Array:
    domains = features_RD.shape[1]
    lengths = {Kernel.LINEAR: 0, Kernel.ISOTROPIC: 1, Kernel.PER_DOMAIN: domains}[kernel]
    length = 0.5 * np.log(max(domains, 1)) + 0.5
    matern = 0 if kernel is Kernel.LINEAR else 1
    centre_H = np.array([noise[0], _LINEAR[0], *([_MATERN[0]] * matern), *([length] * lengths)])
    spread_H = np.array([noise[1], _LINEAR[1], *([_MATERN[1]] * matern), *([_LENGTH_SD] * lengths)])
    loss = partial(_loss, features_RD, target_R, centre_H, spread_H)
    bounds_H = [_BOUNDS] * (2 + matern) + [_LENGTH_BOUNDS] * lengths
    starts = [centre_H, centre_H + np.array([0.0, 0.0, *([1.0] * matern), *([-0.7] * lengths)])]
    if start_H is not None:
        starts = [start_H]
    fits = [
        scipy.optimize.minimize(
            loss,
            np.clip(start, *np.transpose(bounds_H)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds_H,
            options={"ftol": _TOLERANCE, "maxiter": _MAX_STEPS},
        )
        for start in starts
    ]
    return np.asarray(min(fits, key=lambda fit: float(fit.fun)).x)


def _loss(features_RD: Array, target_R: Array, centre_H: Array, spread_H: Array, hyper_H: Array) -> tuple[float, Array]:
    """Return the negative log posterior of the hyper-parameters and its gradient."""
    noise = np.exp(hyper_H[0])
    linear, matern = _variances(hyper_H)
    inner_RR = features_RD @ features_RD.T / features_RD.shape[1]
    kernel_RR = linear * inner_RR
    kernel_RR += _CONSTANT
    kernel_RR[np.diag_indices_from(kernel_RR)] += noise
    if matern:
        scaled_RD = features_RD / np.exp(hyper_H[3:])
        root_RR = _SQRT5 * _distances(scaled_RD, scaled_RD)
        decay_RR = np.exp(-root_RR)
        smooth_RR = (1 + root_RR * (1 + root_RR / 3)) * decay_RR
        kernel_RR += matern * smooth_RR
    factor = _factor(kernel_RR)
    alpha_R, _ = scipy.linalg.lapack.dpotrs(factor, target_R, lower=1)
    # d(loss)/d(hyper) = tr(half (K^-1 - alpha alpha^T) dK/d(hyper)).
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1)
    outer_RR = np.tril(inverse) + np.tril(inverse, -1).T
    outer_RR -= np.outer(alpha_R, alpha_R)
    outer_RR *= 0.5
    gradient_H = np.zeros_like(hyper_H)
    gradient_H[0] = noise * np.trace(outer_RR)
    gradient_H[1] = linear * np.vdot(outer_RR, inner_RR)
    if matern:
        gradient_H[2] = matern * np.vdot(outer_RR, smooth_RR)
        outer_RR *= (1 + root_RR) * decay_RR
        # sum over pairs of weight (x - y)^2, domain by domain, without the pairs' differences.
        steps_D = (scaled_RD**2).T @ outer_RR.sum(axis=1) - (scaled_RD * (outer_RR @ scaled_RD)).sum(axis=0)
        steps_D *= matern * (10 / 3)
        gradient_H[3:] = steps_D if len(hyper_H) == 3 + len(steps_D) else steps_D.sum()
    off_H = (hyper_H - centre_H) / spread_H
    loss = 0.5 * target_R @ alpha_R + np.log(np.diag(factor)).sum() + 0.5 * off_H @ off_H
    return float(loss), gradient_H + off_H / spread_H


def _variances(hyper_H: Array) -> tuple[float, float]:
    """Return the variances of the linear and of the Matern part, 0 where there is none."""
    return float(np.exp(hyper_H[1])), float(np.exp(hyper_H[2])) if len(hyper_H) > 2 else 0.0


def _factor(kernel_RR: Array) -> Array:
    factor, failed = scipy.linalg.lapack.dpotrf(kernel_RR, lower=1, clean=1)
    if failed:
        raise scipy.linalg.LinAlgError(
            "the kernel of the measured mixtures is not positive definite; are there NaNs among them?"
        )
    return np.asarray(factor)


def _kernel(left_MD: Array, right_ND: Array, hyper_H: Array) -> Array:
    linear, matern = _variances(hyper_H)
    kernel_MN = _CONSTANT + linear * (left_MD @ right_ND.T) / left_MD.shape[1]
    if not matern:
        return np.asarray(kernel_MN)
    lengths_D = np.exp(hyper_H[3:])
    root_MN = _SQRT5 * _distances(left_MD / lengths_D, right_ND / lengths_D)
    return np.asarray(kernel_MN + matern * (1 + root_MN * (1 + root_MN / 3)) * np.exp(-root_MN))


def _distances(left_MD: Array, right_ND: Array) -> Array:
    squares_MN = left_MD @ right_ND.T
    squares_MN *= -2
    squares_MN += (left_MD**2).sum(axis=1)[:, None]
    squares_MN += (right_ND**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares_MN, 0.0, out=squares_MN), out=squares_MN))
