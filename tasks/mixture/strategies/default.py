"""The default: anchors and space-filling mixtures first, then batches by expected improvement with a local optimiser.

Axes: M mixtures, R runs, D domains.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, decide
from tasks.mixture.designs.space_filling import SpaceFilling, baselines, draws, space_filling
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal, ProposalReason
from tasks.mixture.strategies.evidence import MARGIN, Evidence, Predicts, excess
from tasks.mixture.strategies.local_search import ascend, diverse
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import in_batches

Array = npt.NDArray[np.float64]
Score = Callable[[Array], Array]

# Standard deviations above the mean at which a mixture is explored; a guess, the usual choice of confidence bounds.
_CONFIDENCE_SDS = 2.0
# What a unit of a broken constraint costs: more than any improvement.
_BROKEN = 1e3
# The score at what is taken: below that of any mixture that could be measured.
_TAKEN = -1e6
# How far starts of the optimiser are from each other (Hellinger), and how many mixtures they are chosen from.
_APART, _SCREENED = 0.2, 100


class Default(Params):
    """Each proposal maximises the expected improvement over the incumbent, the best predicted so far; then it is believed.

    Improvement is a difference under the joint posterior: a mixture near the incumbent shares its uncertainty, has nothing
    to give, and a batch spreads by itself. `explored_per_round` proposals go where the improvement could be largest
    (mean + 2 sd) instead. Proposals differ from all others by `min_step` in some weight: less is no other proxy. Starts of
    the local optimiser are the best of `num_draws` mixtures around natural and of those measured.

    The trust region is wide: on the simulated truth .5 binds nowhere, .35 made no difference and .2 was worse (regret .090
    against .075 after 112 runs with noise .1, four seeds).
    """

    kind: Literal["default"] = "default"
    design: SpaceFilling = SpaceFilling()
    num_first: PositiveInt = Field(default=20, description="runs before the first fit, baselines among them")
    batch: PositiveInt = Field(default=8, description="runs per round after the first")
    explored_per_round: int = Field(default=1, ge=0)
    min_step: float = Field(default=0.03, gt=0, lt=0.5)
    trust_region: float | None = Field(
        default=None,
        gt=0,
        le=1.5,
        description="Hellinger distance from the incumbent, for improvement; null = anywhere",
    )
    num_draws: PositiveInt = 1000
    num_starts: PositiveInt = 3
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.3, 1.0, 3.0, 10.0), min_length=1)


def schedule(params: Default, num_runs: int) -> tuple[int, ...]:
    """Return the runs of every round; at most about two fifths of them before the first fit."""
    return in_batches(min(params.num_first, max(round(0.43 * num_runs), 4)), params.batch, num_runs)


def first(params: Default, problem: Problem, count: int, seed: int) -> Array:
    """Return natural, uniform and UniMax (where they differ), then the design, shape [count, D]."""
    known_MD = baselines(problem)[:count]
    return np.vstack([known_MD, space_filling(params.design, problem, count - len(known_MD), seed)])


def propose(
    params: Default, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures under the recipe's caps and constraints, no two the same and none measured before.

    Fewer come only where the caps leave no other mixtures.
    """
    measured_RD = evidence.runs.weights_RD()
    drawn_MD = draws(problem, params.num_draws, params.strengths, 1.0, problem.caps_D, seed * 1_000_003 + round_)
    predictor = evidence.fitted(params.kind)
    pool_MD = np.vstack([baselines(problem), measured_RD[problem.allows(measured_RD)], problem.recipes(drawn_MD)])
    # Scored once for the whole batch: what is hopeless for the first proposal is so for the last.
    bound_M = _upper_confidence_bound(problem, predictor, problem.natural, pool_MD)
    pool_MD = pool_MD[np.argsort(-bound_M, kind="stable")[:_SCREENED]]
    best = partial(_best_near, params, problem, pool_MD)
    return batch(params, problem, predictor, measured_RD, count, best)


def finish(params: Default, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the pick among natural, what was measured and what the optimiser finds."""
    return decide(decision, problem, evidence.fitted(params.kind), evidence.runs)


def propose_from(
    params: Default, problem: Problem, evidence: Evidence, pool_MD: Array, count: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures of a finite pool by the same acquisition, none measured before."""

    def best(score: Score, taken_RD: Array) -> Array | None:
        apart_M = (np.abs(pool_MD[:, None] - taken_RD[None]).max(axis=2) > 1e-9).all(axis=1)
        return pool_MD[apart_M][int(np.argmax(score(pool_MD[apart_M])))] if apart_M.any() else None

    measured_RD = evidence.runs.weights_RD()
    return batch(params, problem, evidence.fitted(params.kind), measured_RD, count, best)


def batch(
    params: Default,
    problem: Problem,
    predictor: Predicts,
    measured_RD: Array,
    count: int,
    best: Callable[[Score, Array], Array | None],
) -> tuple[Proposal, ...]:
    """Return a batch, one proposal after the other, each believed; `best` maximises a score, away from what is taken."""
    believer, taken_RD, proposals = predictor, measured_RD, list[Proposal]()
    for index in range(count):
        explores = index >= count - params.explored_per_round
        known_RD = taken_RD[problem.allows(taken_RD)]
        known_RD = problem.natural[None] if not len(known_RD) else known_RD
        worth_R = believer.mean(known_RD) + problem.penalty(known_RD) + _BROKEN * excess(problem, believer, known_RD)
        incumbent_D = known_RD[int(np.argmin(worth_R))]
        acquisition = _upper_confidence_bound if explores else _expected_improvement
        score: Score = partial(acquisition, problem, believer, incumbent_D)
        if params.trust_region is not None and not explores:
            score = partial(_trusted, score, incumbent_D, params.trust_region)
        weights_D = best(score, taken_RD)
        if weights_D is None:
            break
        # What is said of a proposal is what the fit says, not what it says after kriging_believer the proposals before.
        mean, sd = float(predictor.mean(weights_D[None])[0]), float(predictor.sd(weights_D[None])[0])
        reason: ProposalReason = "exploration" if explores else "improvement"
        proposals.append(Proposal(weights=tuple(weights_D.tolist()), reason=reason, predicted=mean, sd=sd))
        believer = believer.kriging_believer(weights_D[None])
        taken_RD = np.vstack([taken_RD, weights_D])
    return tuple(proposals)


def _best_near(params: Default, problem: Problem, pool_MD: Array, score: Score, taken_RD: Array) -> Array | None:
    """Return the best mixture that was not taken: local optima from the best of the pool, or the pool itself."""

    def room(weights_MD: Array) -> Array:
        return np.asarray(np.abs(weights_MD[:, None] - taken_RD[None]).max(axis=2).min(axis=1) / params.min_step)

    def fresh(weights_MD: Array) -> Array:
        # Less than nothing within a step of what is taken: the optimiser finds its way out.
        weights_MD = problem.admitted(weights_MD)
        room_M = room(weights_MD)
        return np.where(room_M >= 1.0, score(weights_MD), _TAKEN * (1.0 - room_M))

    starts_SD = diverse(pool_MD, fresh(pool_MD), params.num_starts, _APART)
    tops_SD = ascend(fresh, starts_SD, problem.caps_D, params.min_step / 3)
    candidates_MD = np.vstack([np.array([problem.gridded(top_D) for top_D in tops_SD]), starts_SD])
    candidates_MD = candidates_MD[room(candidates_MD) >= 1.0]
    return candidates_MD[int(np.argmax(score(candidates_MD)))] if len(candidates_MD) else None


def _expected_improvement(problem: Problem, predictor: Predicts, incumbent_D: Array, weights_MD: Array) -> Array:
    """Return E[max(objective(incumbent) - objective(mixture), 0)] in closed form, penalties included."""
    mean_M, sd_M = _gain(problem, predictor, incumbent_D, weights_MD)
    sd_M = np.maximum(sd_M, 1e-12)
    z_M = mean_M / sd_M
    density_M = np.exp(-0.5 * z_M**2) / np.sqrt(2 * np.pi)
    # The mean decides where the expectation underflows.
    return np.asarray(sd_M * (z_M * scipy.special.ndtr(z_M) + density_M) + 1e-9 * mean_M)


def _trusted(score: Score, incumbent_D: Array, radius: float, weights_MD: Array) -> Array:
    """Return the score within `radius` of the incumbent, and less than nothing beyond, the more so the farther."""
    apart_M = np.sqrt(((np.sqrt(weights_MD) - np.sqrt(incumbent_D)) ** 2).sum(axis=1))
    return np.where(apart_M <= radius, score(weights_MD), _TAKEN * (apart_M - radius))


def _upper_confidence_bound(problem: Problem, predictor: Predicts, incumbent_D: Array, weights_MD: Array) -> Array:
    """Return how large the improvement could be. Uncertainty alone would send every exploration into a worthless corner."""
    mean_M, sd_M = _gain(problem, predictor, incumbent_D, weights_MD)
    return np.asarray(mean_M + _CONFIDENCE_SDS * sd_M)


def _gain(problem: Problem, predictor: Predicts, incumbent_D: Array, weights_MD: Array) -> tuple[Array, Array]:
    mean_M, sd_M = predictor.gain(weights_MD, incumbent_D)
    more_M = problem.penalty(weights_MD) + _BROKEN * excess(problem, predictor, weights_MD, MARGIN)
    return mean_M + problem.penalty(incumbent_D[None]) - more_M, sd_M


METHOD = Strategy(
    schedule=schedule,
    first=first,
    propose=propose,
    finish=finish,
    needs_predictor=True,
    begins_with_baselines=True,
    can_reduce=True,
)
