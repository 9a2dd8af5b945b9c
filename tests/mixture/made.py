"""Runs made from known laws."""

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator
from tasks.mixture.predictors.predictor import Measured

Array = npt.NDArray[np.float64]


def mixtures(count: int, domains: int, name: str = "train") -> Array:
    return generator(7, "mixtures", name).dirichlet(np.ones(domains), count)


def law_losses(weights_RD: Array, noise: float = 0.0, exponent: float = 1.0) -> Array:
    """Losses of a known effective-token law: own tokens count 1, others 0.1 to 0.3."""
    domains = weights_RD.shape[1]
    t_OD = np.eye(domains) + generator(7, "help").uniform(0.1, 0.3, (domains, domains)) * (1 - np.eye(domains))
    clean_RO = 1.0 + 0.6 * (0.05 + weights_RD**exponent @ t_OD.T) ** -0.4
    return np.asarray(clean_RO + noise * generator(7, "noise", len(weights_RD)).standard_normal(clean_RO.shape))


def exponential_losses(weights_RD: Array) -> Array:
    """Three losses of a known exponential law; all domains but one help."""
    t_OD = generator(7, "exponents").uniform(-3.0, 0.5, (3, weights_RD.shape[1]))
    return np.asarray(np.array([1.5, 2.0, 0.8]) + np.array([1.0, 0.5, 1.5]) * np.exp(weights_RD @ t_OD.T))


def measured(count: int, domains: int, noise: float = 0.0, noise_sd: float | None = None) -> Measured:
    weights_RD = mixtures(count, domains)
    return Measured(weights_RD, law_losses(weights_RD, noise), np.full(domains, 1 / domains), noise_sd)
