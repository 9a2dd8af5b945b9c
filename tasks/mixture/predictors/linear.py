"""Linear regression on the weights, as RegMix compares with: ordinary least squares, the smallest solution where many fit.

Axes: R runs, M mixtures, D domains, O outputs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.core.params import Params
from tasks.mixture.predictors.left_out import LeftOutErrors
from tasks.mixture.predictors.predictor import Array, Measured, Predictor


class Linear(Params):
    """No settings."""

    kind: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Plane:
    """Fitted lines: losses at the centre of the runs, and slopes per domain."""

    centre_D: Array
    level_O: Array
    slopes_DO: Array

    def mean(self, weights_MD: Array) -> Array:
        """Return the loss of every mixture and output, shape [M, O]."""
        return np.asarray(self.level_O + (weights_MD - self.centre_D) @ self.slopes_DO)


def fit_linear(params: Linear, measured: Measured) -> Predictor:
    """Fit a line to every output."""
    return Predictor(params.kind, _surface(measured), LeftOutErrors(_surface, measured), measured.objective_O)


def _surface(measured: Measured) -> Plane:
    centre_D, level_O = measured.weights_RD.mean(axis=0), measured.losses_RO.mean(axis=0)
    slopes_DO = np.linalg.lstsq(measured.weights_RD - centre_D, measured.losses_RO - level_O)[0]
    return Plane(centre_D, level_O, slopes_DO)
