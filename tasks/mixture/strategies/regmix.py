"""RegMix as released (arXiv 2407.01492; sail-sg/regmix), except that its early stop uses a tenth of its training rows.

One round of its swarm, LightGBM, and the mean of the best 128 of 100,000 draws from Dirichlet(natural shares). The bound
of 15 times natural is RegMix's; our caps come on top, and what they change is said.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, shipped
from tasks.mixture.designs.swarm import CandidateSource, Swarm, candidates
from tasks.mixture.predictors.choose import fit
from tasks.mixture.predictors.trees import Lightgbm
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import one_round, swarm_under_caps, with_optimum

Array = npt.NDArray[np.float64]


class RegMix(Params):
    """The released constants."""

    kind: Literal["regmix"] = "regmix"
    swarm: Swarm = Swarm()
    predictor: Lightgbm = Lightgbm()
    num_draws: PositiveInt = 100_000
    candidates: CandidateSource = Field(
        default="natural", description="swarm: drawn as the first round, not as released"
    )
    num_averaged: PositiveInt = 128


def first(params: RegMix, problem: Problem, count: int, seed: int) -> Array:
    """Return the swarm under the proxies' caps, shape [count, D]."""
    return swarm_under_caps(params.swarm, problem, count, seed)


def propose(
    params: RegMix, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return the mixture it would ship, then more of the swarm: the method itself has one round."""
    optimum = _mean_of_best(params, problem, evidence, seed)
    return with_optimum(params.swarm, problem, evidence, optimum, count, seed * 1_000_003 + round_)


def finish(params: RegMix, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the mean of the best predicted draws."""
    best_D, _ = _mean_of_best(params, problem, evidence, seed)
    reason = f"RegMix ships the mean of the {params.num_averaged} best predicted of {params.num_draws:,} draws"
    return shipped(decision, problem, evidence, best_D, reason)


def _mean_of_best(params: RegMix, problem: Problem, evidence: Evidence, seed: int) -> tuple[Array, float]:
    predictor = fit(params.predictor, evidence.measured(problem))
    pool_MD = candidates(params.swarm, problem.natural, params.candidates, params.num_draws, seed, "pick")
    best_MD = pool_MD[np.argsort(predictor.mean(pool_MD), kind="stable")[: params.num_averaged]]
    return best_MD.mean(axis=0), float(predictor.mean(best_MD.mean(axis=0)[None])[0])


METHOD = Strategy(schedule=one_round, first=first, propose=propose, finish=finish)
