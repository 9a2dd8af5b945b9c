"""Gaussian process over mixtures: Matern-5/2 plus linear kernel on standardised sqrt(weights), several outputs at once.

Axes: R runs, M mixtures, D domains with a weight, O outputs (losses per domain), H hyper-parameters.

All outputs share one kernel, whose hyper-parameters are those of the objective (a weighted sum of the outputs). The
posterior mean is linear in the observations, so that predictions per output sum to the prediction of the objective.
sqrt(w) is the feature because it matters more than the model class (rank correlations on RegMix's published tables:
sqrt(w) > log(w + 0.01) >> w).
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]

_SQRT5 = 5**0.5
# Log-normal priors on hyper-parameters, in units of the residual's variance: (centre, standard deviation). Weak; they
# keep a fit of 20 runs with a length per domain from switching domains off. Checked on RegMix's training table.
_LINEAR, _MATERN, _NOISE = (0.0, 1.5), (-0.7, 1.5), (-4.0, 2.0)
_LENGTH_SD = 0.7
_NOISE_SD_WHEN_REPEATED = 1.0
_CONSTANT = 1.0
_BOUNDS = (-14.0, 7.0)


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process. `scale` is the objective's residual standard deviation, `scale_O` that of each output."""

    hyper_H: Array
    with_matern: bool
    centre_D: Array
    spread_D: Array
    features_RD: Array
    residuals_RO: Array
    offset_O: Array
    scale: float
    scale_O: Array

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture, as the fit sees it."""
        return float(self.scale * np.exp(0.5 * self.hyper_H[0]))

    def features(self, weights_MD: Array) -> Array:
        """Return standardised sqrt(weights)."""
        return (np.sqrt(weights_MD) - self.centre_D) / self.spread_D

    def mean(self, weights_MD: Array) -> Array:
        """Return the posterior mean of every output, shape [M, O]."""
        cross_MR = _kernel(self.features(weights_MD), self.features_RD, self.hyper_H, self.with_matern)
        return self.offset_O + cross_MR @ self._alpha_RO

    def variance(self, weights_MD: Array) -> Array:
        """Return the posterior variance of the objective without noise, shape [M]."""
        features_MD = self.features(weights_MD)
        linear, matern = np.exp(self.hyper_H[1:3])
        prior_M = _CONSTANT + linear * (features_MD**2).mean(axis=1) + (matern if self.with_matern else 0.0)
        reduced_M = prior_M - (self._whitened(features_MD) ** 2).sum(axis=0)
        return np.asarray(self.scale**2 * np.maximum(reduced_M, 0.0))

    def difference_variance(self, weights_MD: Array, reference_D: Array) -> Array:
        """Return the posterior variance of objective(mixture) - objective(reference) without noise, shape [M]."""
        features_MD, reference_1D = self.features(weights_MD), self.features(reference_D[None])
        linear, matern = np.exp(self.hyper_H[1:3])
        cross_M = _kernel(features_MD, reference_1D, self.hyper_H, self.with_matern)[:, 0]
        level = 2 * (_CONSTANT + (matern if self.with_matern else 0.0)) + linear * (reference_1D**2).mean()
        prior_M = level + linear * (features_MD**2).mean(axis=1) - 2 * cross_M
        known_M = ((self._whitened(features_MD) - self._whitened(reference_1D)) ** 2).sum(axis=0)
        return np.asarray(self.scale**2 * np.maximum(prior_M - known_M, 0.0))

    def believing(self, weights_PD: Array) -> "GaussianProcess":
        """Return the process as if these mixtures had been measured and had given just what it predicts."""
        return replace(
            self,
            features_RD=np.vstack([self.features_RD, self.features(weights_PD)]),
            residuals_RO=np.vstack([self.residuals_RO, self.mean(weights_PD) - self.offset_O]),
        )

    def _whitened(self, features_MD: Array) -> Array:
        factor, lower = self._factor
        cross_RM = _kernel(self.features_RD, features_MD, self.hyper_H, self.with_matern)
        return np.asarray(solve_triangular(factor, cross_RM, lower=lower))

    @cached_property
    def _alpha_RO(self) -> Array:
        return np.asarray(cho_solve(self._factor, self.residuals_RO))

    @cached_property
    def _factor(self) -> tuple[Array, bool]:
        kernel_RR = _kernel(self.features_RD, self.features_RD, self.hyper_H, self.with_matern)
        noise_RR = np.exp(self.hyper_H[0]) * np.eye(len(kernel_RR))
        factor, lower = cho_factor(kernel_RR + noise_RR, lower=True)
        return np.asarray(factor), bool(lower)


def fit_process(
    weights_RD: Array,
    residuals_RO: Array,
    objective_O: Array,
    *,
    with_matern: bool = True,
    noise_sd: float | None = None,
) -> GaussianProcess:
    """Fit hyper-parameters by the marginal likelihood of the objective with log-normal priors.

    `noise_sd` is the standard deviation over seeds where one mixture was repeated, in the objective's units.
    """
    root_RD = np.sqrt(weights_RD)
    # A domain whose weight never changes carries no information; its spread of 0 must not become a division by 0.
    spread_D = np.where(root_RD.std(axis=0) > 1e-9, root_RD.std(axis=0), 1.0)
    features_RD = (root_RD - root_RD.mean(axis=0)) / spread_D
    offset_O = residuals_RO.mean(axis=0)
    objective_R = (residuals_RO - offset_O) @ objective_O
    scale = max(float(objective_R.std()), 1e-9)
    noise = _NOISE if noise_sd is None else (2 * np.log(max(noise_sd / scale, 1e-4)), _NOISE_SD_WHEN_REPEATED)
    hyper_H = _fit_hyper(features_RD, objective_R / scale, noise, with_matern)
    return GaussianProcess(
        hyper_H,
        with_matern,
        root_RD.mean(axis=0),
        spread_D,
        features_RD,
        residuals_RO - offset_O,
        offset_O,
        scale,
        (residuals_RO - offset_O).std(axis=0),
    )


def _fit_hyper(features_RD: Array, target_R: Array, noise: tuple[float, float], with_matern: bool) -> Array:
    domains = features_RD.shape[1] if with_matern else 0
    length = 0.5 * np.log(max(features_RD.shape[1], 1)) + 0.5
    centre_H = np.array([noise[0], _LINEAR[0], _MATERN[0], *([length] * domains)])
    spread_H = np.array([noise[1], _LINEAR[1], _MATERN[1], *([_LENGTH_SD] * domains)])
    loss = partial(_loss, features_RD, target_R, centre_H, spread_H, with_matern)
    starts = [centre_H, centre_H + np.array([0.0, 0.0, 1.0, *([-0.7] * domains)])]
    bounds = [_BOUNDS] * len(centre_H)
    fits = [minimize(loss, np.clip(start, *_BOUNDS), jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
    return np.asarray(min(fits, key=lambda fit: float(fit.fun)).x)


def _loss(
    features_RD: Array, target_R: Array, centre_H: Array, spread_H: Array, with_matern: bool, hyper_H: Array
) -> tuple[float, Array]:
    """Return the negative log posterior of the hyper-parameters and its gradient."""
    noise, linear, matern = np.exp(hyper_H[:3])
    inner_RR = features_RD @ features_RD.T / features_RD.shape[1]
    kernel_RR = _CONSTANT + linear * inner_RR + noise * np.eye(len(target_R))
    if with_matern:
        lengths_D = np.exp(hyper_H[3:])
        steps_RRD = ((features_RD[:, None] - features_RD[None]) / lengths_D) ** 2
        root_RR = _SQRT5 * np.sqrt(steps_RRD.sum(axis=2))
        decay_RR = np.exp(-root_RR)
        smooth_RR = (1 + root_RR + root_RR**2 / 3) * decay_RR
        kernel_RR = kernel_RR + matern * smooth_RR
    factor = cho_factor(kernel_RR, lower=True)
    alpha_R = cho_solve(factor, target_R)
    # d(loss)/d(hyper) = tr(half (K^-1 - alpha alpha^T) dK/d(hyper)).
    outer_RR = 0.5 * (cho_solve(factor, np.eye(len(target_R))) - np.outer(alpha_R, alpha_R))
    gradient_H = np.zeros_like(hyper_H)
    gradient_H[0] = noise * np.trace(outer_RR)
    gradient_H[1] = linear * np.sum(outer_RR * inner_RR)
    if with_matern:
        gradient_H[2] = matern * np.sum(outer_RR * smooth_RR)
        weighted_RR = outer_RR * matern * (5 / 3) * (1 + root_RR) * decay_RR
        gradient_H[3:] = np.einsum("rs,rsd->d", weighted_RR, steps_RRD)
    off_H = (hyper_H - centre_H) / spread_H
    loss = 0.5 * target_R @ alpha_R + np.log(np.diag(factor[0])).sum() + 0.5 * off_H @ off_H
    return float(loss), gradient_H + off_H / spread_H


def _kernel(left_MD: Array, right_RD: Array, hyper_H: Array, with_matern: bool) -> Array:
    linear, matern = np.exp(hyper_H[1:3])
    kernel_MR = _CONSTANT + linear * (left_MD @ right_RD.T) / left_MD.shape[1]
    if not with_matern:
        return np.asarray(kernel_MR)
    left_MD, right_RD = left_MD / np.exp(hyper_H[3:]), right_RD / np.exp(hyper_H[3:])
    squares_MR = (left_MD**2).sum(axis=1)[:, None] + (right_RD**2).sum(axis=1)[None] - 2 * left_MD @ right_RD.T
    root_MR = _SQRT5 * np.sqrt(np.maximum(squares_MR, 0.0))
    return np.asarray(kernel_MR + matern * (1 + root_MR + root_MR**2 / 3) * np.exp(-root_MR))
