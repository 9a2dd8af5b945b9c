"""Several predictors as one: a weighted mean of their losses, with shares from what each said of runs it had not seen.

Axes: R runs, M and N mixtures, D domains, O outputs, K members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from tasks.mixture.predictors.predictor import Array, Predictor

# A member with less changes no prediction by as much as it costs to fit.
_LEAST_SHARE = 0.05
# Pulls towards equal shares with the weight of so many runs: of members that do the same, each keeps a part, so that one
# more run does not turn one into the other. Checked on RegMix's training rows: it costs and gains nothing there.
_SHRINKAGE = 2.0
# An error counts less by exp(-so much) per standard deviation that the run's own objective lies above the mean, within so
# many of them: bad mixtures are few and extreme, predictions of them are further off, and a recipe is found among the good
# ones. Checked on RegMix's training rows and the mixing-laws tables: .4 to 1 are alike, and better than 0.
_DISCOUNT, _FURTHEST = 0.6, 2.0
# How much more the sum of shares counts than all errors together.
_SUM_WEIGHT = 1e4


@dataclass(frozen=True)
class Stack:
    """Members and their shares: a surface and an error covariance.

    The covariance is that of a mixture of the members: the mean of theirs, and how far they disagree.
    """

    members: tuple[Predictor, ...]
    share_K: Array

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the objective between runs of one mixture."""
        return float(np.sqrt(self.share_K @ [member.noise_sd**2 for member in self.members]))

    def mean(self, weights_MD: Array) -> Array:
        """Return the loss of every mixture and output, shape [M, O]."""
        parts = [share * member.outputs(weights_MD) for share, member in zip(self.share_K, self.members, strict=True)]
        return np.asarray(sum(parts))

    def objective(self, weights_MD: Array) -> Array:
        """Return the objective of every mixture, shape [M]."""
        return np.asarray(self.share_K @ self._objective_KM(weights_MD))

    def variance(self, weights_MD: Array) -> Array:
        """Return the variance of the objective's error, shape [M]."""
        own_KM = np.array([member.sd(weights_MD) ** 2 for member in self.members])
        return np.asarray(self.share_K @ (own_KM + self._apart_KM(weights_MD) ** 2))

    def covariance(self, weights_MD: Array, weights_ND: Array) -> Array:
        """Return the covariance of the objective's errors, shape [M, N]."""
        pairs = zip(self.share_K, self.members, strict=True)
        own_MN = sum(share * member.error_covariance.covariance(weights_MD, weights_ND) for share, member in pairs)
        apart_KM, apart_KN = self._apart_KM(weights_MD), self._apart_KM(weights_ND)
        return np.asarray(own_MN + (self.share_K[:, None] * apart_KM).T @ apart_KN)

    def _objective_KM(self, weights_MD: Array) -> Array:
        return np.array([member.mean(weights_MD) for member in self.members])

    def _apart_KM(self, weights_MD: Array) -> Array:
        objective_KM = self._objective_KM(weights_MD)
        return np.asarray(objective_KM - self.share_K @ objective_KM)


def stacked(members: Sequence[Predictor], share_K: Array) -> Predictor:
    """Return the members as one predictor; one member alone is returned as it is."""
    if len(members) == 1:
        return members[0]
    stack = Stack(tuple(members), share_K)
    return Predictor("stack", stack, stack, members[0].objective_O, objective=stack.objective)


def shares(error_REK: Array, objective_R: Array) -> Array:
    """Return the share of each member [K]: non-negative, sum 1, the least squared error on runs that it had not seen.

    `error_REK` holds the objective's error, then those of its parts, output by output. There are more of these, and who
    predicts the parts predicts the whole, so both count half. Members whose predictions are not finite, or who end up with
    little, get no share.
    """
    place_R = (objective_R - objective_R.mean()) / max(float(objective_R.std()), 1e-12)
    error_REK = error_REK * np.exp(-_DISCOUNT * np.clip(place_R, -_FURTHEST, _FURTHEST))[:, None, None]
    share_K = np.zeros(error_REK.shape[2])
    able = np.flatnonzero(np.isfinite(error_REK).all(axis=(0, 1)))
    while len(able):
        share_K[:] = 0.0
        share_K[able] = _on_simplex(_rows(error_REK[:, :, able]))
        kept = able[share_K[able] >= _LEAST_SHARE]
        if len(kept) == len(able):
            break
        able = kept
    return share_K


def _rows(error_REK: Array) -> Array:
    """Return what the shares have to make small, [rows, K]: the least mean square of a member is 1 for both halves."""
    whole_RK, parts_XK = error_REK[:, 0], error_REK[:, 1:].reshape(-1, error_REK.shape[2])
    if not len(parts_XK):
        return whole_RK / _root_mean_square(whole_RK)
    # As many outputs, as many rows: together they weigh as much as the objective's.
    parts_XK = parts_XK / (_root_mean_square(parts_XK) * np.sqrt(error_REK.shape[1] - 1))
    return np.vstack([whole_RK / _root_mean_square(whole_RK), parts_XK])


def _on_simplex(rows_XK: Array) -> Array:
    # Three kinds of rows: the errors, one per member that asks for an equal share, one that asks for a sum of 1.
    members, pull = rows_XK.shape[1], np.sqrt(_SHRINKAGE)
    whole = _SUM_WEIGHT * np.sqrt(_SHRINKAGE + float((rows_XK**2).sum(axis=0).min()))
    target_X = np.concatenate([np.zeros(len(rows_XK)), np.full(members, pull / members), [whole]])
    share_K = np.asarray(
        scipy.optimize.nnls(np.vstack([rows_XK, pull * np.eye(members), np.full((1, members), whole)]), target_X)[0]
    )
    return np.asarray(share_K / share_K.sum())


def _root_mean_square(error_XK: Array) -> float:
    """Return that of the member that has the least."""
    return max(float(np.sqrt((error_XK**2).mean(axis=0).min())), 1e-15)
