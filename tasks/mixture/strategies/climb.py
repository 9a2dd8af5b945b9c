"""CLIMB as released (arXiv 2504.13161; NVIDIA-NeMo/Curator, tutorials of CLIMB, 5_mixture.py and 8_predict.py).

RegMix's sampler for the first round; then LightGBM on all runs, 100,000 fresh draws from Dirichlet(natural shares), and of
the best N of them as many as are needed by chance, N = max(count^2, 128); rounds of 4:2:1. The best of 100,000 draws is
shipped. The sampler's bound of 15 times natural is CLIMB's; our caps come on top, and what they change is said.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.mixture.decide import DecisionParams, Pick, shipped
from tasks.mixture.designs.swarm import CandidateSource, Swarm, candidates
from tasks.mixture.predictors.choose import fit
from tasks.mixture.predictors.trees import Lightgbm
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence, brought_in
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import in_proportion, swarm_under_caps

Array = npt.NDArray[np.float64]


class Climb(Params):
    """The released constants."""

    kind: Literal["climb"] = "climb"
    rounds: tuple[PositiveFloat, ...] = Field(default=(4.0, 2.0, 1.0), min_length=1, description="in proportion")
    swarm: Swarm = Swarm()
    predictor: Lightgbm = Lightgbm(settings="climb")
    num_draws: PositiveInt = 100_000
    candidates: CandidateSource = Field(
        default="natural", description="swarm: drawn as the first round, not as released"
    )
    min_top: PositiveInt = 128


def schedule(params: Climb, num_runs: int) -> tuple[int, ...]:
    """Return the runs of every round, in proportion."""
    return in_proportion(params.rounds, num_runs)


def first(params: Climb, problem: Problem, count: int, seed: int) -> Array:
    """Return RegMix's swarm under the proxies' caps, shape [count, D]."""
    return swarm_under_caps(params.swarm, problem, count, seed)


def propose(
    params: Climb, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` of the best N draws, by chance, none measured before."""
    pool_MD, predicted_M = _drawn(params, problem, evidence, seed, f"round {round_}")
    top = np.argsort(predicted_M, kind="stable")[: max(count**2, params.min_top)]
    chosen = generator(seed, "search", "climb", round_).permutation(top)
    taken = {row.weights for row in evidence.runs.rows}
    proposals: list[Proposal] = []
    for index in chosen.tolist():
        kept_D, moved = brought_in(problem, pool_MD[index])
        weights = tuple(kept_D.tolist())
        if weights not in taken and len(proposals) < count:
            taken.add(weights)
            proposals.append(
                Proposal(weights=weights, reason="sampled", predicted=float(predicted_M[index]), moved=moved)
            )
    return tuple(proposals)


def finish(params: Climb, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the draw with the best prediction."""
    pool_MD, predicted_M = _drawn(params, problem, evidence, seed, "pick")
    best = int(np.argmin(predicted_M))
    reason = f"CLIMB ships the best predicted of {params.num_draws:,} draws ({predicted_M[best]:.4f}), measured or not"
    return shipped(decision, problem, evidence, pool_MD[best], reason)


def _drawn(params: Climb, problem: Problem, evidence: Evidence, seed: int, name: str) -> tuple[Array, Array]:
    """Return fresh draws and the objective that LightGBM predicts for them."""
    predictor = fit(params.predictor, evidence.measured(problem))
    pool_MD = candidates(params.swarm, problem.natural, params.candidates, params.num_draws, seed, name)
    return pool_MD, predictor.mean(pool_MD)


METHOD = Strategy(schedule=schedule, first=first, propose=propose, finish=finish)
