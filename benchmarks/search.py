"""Search: seconds of one core to fit and choose among all predictors, beside one fit of scikit-learn's Gaussian process."""

import warnings
from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import Line, cpu_seconds, ratio
from benchmarks.options import Options
from tasks.core.rng import generator
from tasks.mixture.predictors.choose import Selection, choose
from tasks.mixture.predictors.predictor import Measured

DOMAINS = 8


def run(_: Options) -> Iterator[Line]:
    """Measure a refit at the demo's size and at twice its size."""
    with threadpool_limits(1):
        for runs in (24, 48):
            weights_RD = generator(0, "benchmark", runs).dirichlet(np.ones(DOMAINS), size=runs)
            losses_RD = 2.0 + (0.1 + weights_RD) ** -0.3
            data = Measured(weights_RD, losses_RD, np.full(DOMAINS, 1 / DOMAINS), 0.01)
            ours, peer = (
                cpu_seconds(lambda data=data: choose(Selection(), data)),
                cpu_seconds(lambda data=data: _sklearn(data)),
            )
            yield Line(f"{runs} runs: choose among all predictors", "CPU-s", ours)
            yield Line(f"{runs} runs: one process of scikit-learn", "CPU-s", peer)
            yield Line(f"{runs} runs: all of ours / one of its", "ratio", ratio(ours, peer))


def _sklearn(data: Measured) -> object:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    kernel = Matern(np.ones(DOMAINS), nu=2.5) + WhiteKernel()
    with warnings.catch_warnings():
        # It warns where a length scale reaches its bound; the fit is what is timed.
        warnings.simplefilter("ignore")
        process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=5, random_state=0)
        return process.fit(np.sqrt(data.weights_RD), data.losses_RO @ data.objective_O)
