"""What a predictor of an earlier table says about today's mixtures, and how it becomes a mean function for today's runs.

Axes: R runs, M mixtures, P slopes of a regression, D domains of today, E domains of the earlier table, O held-out sets of
today.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# The earlier prediction should carry over as it is: its slope is 1, give or take so much. A guess.
_SLOPE_SD = 0.5
# A new domain's whole share moves a loss by about as much as the losses of today's runs lie apart, times this. A guess.
_NEW_SD = 3.0
_ROUNDS = 10


class Outputs(Protocol):
    """What is asked of a predictor of the earlier table: the loss of each of its held-out sets."""

    def outputs(self, weights_ME: Array, /) -> Array:
        """Return the predicted losses."""
        ...


@dataclass(frozen=True)
class EarlierPrediction:
    """A predictor of an earlier table, asked about today's mixtures.

    `places_D` is where each of today's domains stands in the earlier table, -1 for a new one; `places_O` the same of
    held-out sets. `usual_E` stands in for a mixture of new domains alone.
    """

    predictor: Outputs
    places_D: tuple[int, ...]
    places_O: tuple[int, ...]
    usual_E: tuple[float, ...]

    @property
    def known_O(self) -> npt.NDArray[np.bool_]:
        """Which of today's held-out sets the earlier table had."""
        return np.array(self.places_O) >= 0

    def weights(self, weights_MD: Array) -> Array:
        """Return the earlier domains' relative shares in today's mixtures, shape [M, E]."""
        old_D = np.array(self.places_D) >= 0
        weights_ME = np.zeros((len(weights_MD), len(self.usual_E)))
        weights_ME[:, np.array(self.places_D)[old_D]] = weights_MD[:, old_D]
        sums_M = weights_ME.sum(axis=1)
        some_M = sums_M > 0
        weights_ME[some_M] /= sums_M[some_M, None]
        weights_ME[~some_M] = self.usual_E
        return weights_ME

    def outputs(self, weights_MD: Array) -> Array:
        """Return what was predicted for today's held-out sets, shape [M, O]; 0 for a set that is new."""
        predicted_MO = self.predictor.outputs(self.weights(weights_MD))[:, np.maximum(self.places_O, 0)]
        return np.asarray(np.where(self.known_O, predicted_MO, 0.0))


@dataclass(frozen=True)
class WarmMean:
    """a_o + b_o x earlier prediction + c_o . w_new: the mean of the predictor `warm`, under a process on its residual.

    `c_OD` is 0 but for new domains, of which the earlier table knows nothing, not even that they leave less to the others.
    """

    earlier: EarlierPrediction
    a_O: Array
    b_O: Array
    c_OD: Array

    def mean(self, weights_MD: Array) -> Array:
        """Return the mean of every mixture and held-out set, shape [M, O]."""
        return np.asarray(self.a_O + self.b_O * self.earlier.outputs(weights_MD) + weights_MD @ self.c_OD.T)


def warm_mean(earlier: EarlierPrediction, weights_RD: Array, losses_RO: Array) -> WarmMean:
    """Return the mean that fits today's runs; while they are few it stays near the earlier prediction as it is.

    Per held-out set a Bayesian regression with b ~ N(1, .5^2) and c ~ N(0, (3 x spread of the losses)^2). A set that the
    earlier table did not have has b = 0.
    """
    predicted_RO, new_D = earlier.outputs(weights_RD), np.array(earlier.places_D) < 0
    a_O, b_O, c_OD = losses_RO.mean(axis=0), np.zeros(losses_RO.shape[1]), np.zeros((losses_RO.shape[1], len(new_D)))
    for output, known in enumerate(earlier.known_O):
        predicted_R, losses_R = predicted_RO[:, output], losses_RO[:, output]
        features_RP = np.column_stack([predicted_R, weights_RD[:, new_D]])
        spread_P = np.array([_SLOPE_SD if known else 0.0, *[_NEW_SD * float(losses_R.std())] * int(new_D.sum())])
        prior_P = np.array([float(known), *[0.0] * int(new_D.sum())])
        fitted_P = _regression(features_RP, losses_R, prior_P, spread_P)
        b_O[output], c_OD[output, new_D] = fitted_P[0], fitted_P[1:]
        a_O[output] -= features_RP.mean(axis=0) @ fitted_P
    return WarmMean(earlier, a_O, b_O, c_OD)


def _regression(features_RP: Array, losses_R: Array, prior_P: Array, spread_P: Array) -> Array:
    """Return the posterior mean of the slopes under N(prior, spread^2); the noise is iterated to what is left over."""
    x_RP = (features_RP - features_RP.mean(axis=0)) * spread_P
    y_R = losses_R - losses_R.mean() - (features_RP - features_RP.mean(axis=0)) @ prior_P
    gram_PP = x_RP.T @ x_RP
    # Never so little beside the features that the equations have no single solution in floating point.
    least = max(1e-12 * float(np.trace(gram_PP)), 1e-30)
    noise = max(float(y_R @ y_R) / len(y_R), least)
    for _ in range(_ROUNDS):
        precision_PP = gram_PP + noise * np.eye(len(prior_P))
        slope_P = np.linalg.solve(precision_PP, x_RP.T @ y_R)
        free = float(np.trace(np.linalg.solve(precision_PP, gram_PP)))
        left_R = y_R - x_RP @ slope_P
        noise = max(float(left_R @ left_R) / max(len(y_R) - 1 - free, 1.0), least)
    return np.asarray(prior_P + spread_P * slope_P)
