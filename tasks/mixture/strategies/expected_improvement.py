"""Expected improvement with a local optimiser, in batches, and some exploration. Axes: M mixtures, D domains."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.special import ndtr

from tasks.core.params import Params
from tasks.mixture.designs.space_filling import draws
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem, gridded
from tasks.mixture.strategies.local_search import climb

Array = npt.NDArray[np.float64]
Score = Callable[[Array], Array]

# Standard deviations below the mean at which a mixture is explored; a guess, the usual choice of confidence bounds.
_OPTIMISM = 2.0


class ExpectedImprovement(Params):
    """Each proposal maximises the expected improvement over the incumbent, the best predicted so far; then it is believed.

    Improvement is a difference under the joint posterior: a mixture near the incumbent shares its uncertainty, has nothing
    to give, and a batch spreads by itself. `explored_per_round` proposals go where the improvement could be largest
    (mean + 2 sd) instead. Proposals differ from all others by `min_step` in some weight: less is no other proxy. Starts of
    the local optimiser are the best of `num_draws` mixtures around natural and of those measured.
    """

    kind: Literal["expected_improvement"] = "expected_improvement"
    explored_per_round: int = Field(default=1, ge=0)
    min_step: float = Field(default=0.03, gt=0, lt=0.5)
    num_draws: PositiveInt = 1000
    num_starts: PositiveInt = 3
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.3, 1.0, 3.0, 10.0), min_length=1)


@dataclass(frozen=True)
class Proposal:
    """A mixture to measure, why, and what the predictor says of it (objective, standard deviation without noise)."""

    weights: tuple[float, ...]
    reason: Literal["improvement", "exploration"]
    predicted: float
    sd: float


def expected_improvement(
    params: ExpectedImprovement, problem: Problem, predictor: Predictor, measured_RD: Array, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures under the recipe's caps, no two the same and none measured before.

    Fewer come only where the caps leave no other mixtures.
    """
    pool_MD = draws(problem, params.num_draws, params.strengths, 1.0, problem.caps_D, seed)
    allowed_RD = measured_RD[problem.allows(measured_RD)]
    pool_MD = np.vstack([problem.natural, problem.uniform, allowed_RD, pool_MD])
    believer, taken_RD, proposals = predictor, measured_RD, list[Proposal]()
    for index in range(count):
        explores = index >= count - params.explored_per_round
        known_RD = taken_RD[problem.allows(taken_RD)]
        incumbent_D = known_RD[int(np.argmin(believer.mean(known_RD) + problem.penalty(known_RD)))]
        score: Score = partial(_hope if explores else _improvement, problem, believer, incumbent_D)
        weights_D = _best(params, problem, score, pool_MD, taken_RD)
        if weights_D is None:
            break
        # What is said of a proposal is what the fit says, not what it says after believing the proposals before.
        mean, sd = float(predictor.mean(weights_D[None])[0]), float(predictor.sd(weights_D[None])[0])
        proposals.append(Proposal(tuple(weights_D.tolist()), "exploration" if explores else "improvement", mean, sd))
        believer = believer.believing(weights_D[None])
        taken_RD = np.vstack([taken_RD, weights_D])
    return tuple(proposals)


def _best(params: ExpectedImprovement, problem: Problem, score: Score, pool_MD: Array, taken_RD: Array) -> Array | None:
    """Return the best mixture that was not taken: local optima from the best of the pool, or the pool itself."""

    def fresh(weights_MD: Array) -> Array:
        apart_M = (np.abs(weights_MD[:, None] - taken_RD[None]).max(axis=2) >= params.min_step).all(axis=1)
        return np.where(apart_M, score(weights_MD), -np.inf)

    starts = np.argsort(-fresh(pool_MD), kind="stable")[: params.num_starts]
    tops_MD = np.array([gridded(climb(fresh, pool_MD[start], problem.caps_D), problem.caps_D) for start in starts])
    candidates_MD = np.vstack([tops_MD, pool_MD])
    scores_M = fresh(candidates_MD)
    best = int(np.argmax(scores_M))
    return candidates_MD[best] if np.isfinite(scores_M[best]) else None


def _improvement(problem: Problem, predictor: Predictor, incumbent_D: Array, weights_MD: Array) -> Array:
    """Return E[max(objective(incumbent) - objective(mixture), 0)] in closed form, penalties included."""
    mean_M, sd_M = _gain(problem, predictor, incumbent_D, weights_MD)
    sd_M = np.maximum(sd_M, 1e-12)
    z_M = mean_M / sd_M
    density_M = np.exp(-0.5 * z_M**2) / np.sqrt(2 * np.pi)
    # The mean decides where the expectation underflows.
    return np.asarray(sd_M * (z_M * ndtr(z_M) + density_M) + 1e-9 * mean_M)


def _hope(problem: Problem, predictor: Predictor, incumbent_D: Array, weights_MD: Array) -> Array:
    """Return how large the improvement could be. Uncertainty alone would send every exploration into a worthless corner."""
    mean_M, sd_M = _gain(problem, predictor, incumbent_D, weights_MD)
    return np.asarray(mean_M + _OPTIMISM * sd_M)


def _gain(problem: Problem, predictor: Predictor, incumbent_D: Array, weights_MD: Array) -> tuple[Array, Array]:
    mean_M, sd_M = predictor.gain(weights_MD, incumbent_D)
    return mean_M + problem.penalty(incumbent_D[None]) - problem.penalty(weights_MD), sd_M
