"""Random search: space-filling draws under the caps, whatever was measured. The baseline of every strategy."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, best_measured
from tasks.mixture.designs.space_filling import draws, farthest
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import one_round

Array = npt.NDArray[np.float64]


class RandomSearch(Params):
    """Dirichlet draws around natural, each as far as possible from those before; the best measured is the pick."""

    kind: Literal["random_search"] = "random_search"
    num_draws: PositiveInt = 600
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.3, 1.0, 3.0), min_length=1)


def first(params: RandomSearch, problem: Problem, count: int, seed: int) -> Array:
    """Return natural and then draws, shape [count, D]."""
    return _spread(params, problem, problem.natural[None], count - 1, seed)


def propose(
    params: RandomSearch, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return more draws, with what the predictor says of them if there is one."""
    measured_RD = evidence.runs.weights_RD()
    chosen_MD = _spread(params, problem, measured_RD, count, seed * 1_000_003 + round_)[len(measured_RD) :]
    if evidence.predictor is None:
        return tuple(Proposal(weights=tuple(row.tolist()), reason="random") for row in chosen_MD)
    rows = zip(chosen_MD, evidence.predictor.mean(chosen_MD), evidence.predictor.sd(chosen_MD), strict=True)
    return tuple(
        Proposal(weights=tuple(row.tolist()), reason="random", predicted=float(mean), sd=float(sd))
        for row, mean, sd in rows
    )


def finish(params: RandomSearch, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the best measured."""
    return best_measured(decision, problem, evidence, "random search takes the best measured")


def _spread(params: RandomSearch, problem: Problem, taken_RD: Array, count: int, seed: int) -> Array:
    num_draws = max(params.num_draws, 4 * count)
    pool_MD = draws(problem, num_draws, params.strengths, 1.0, problem.caps_D, seed)
    return farthest(taken_RD, problem.recipes(pool_MD), count)


METHOD = Strategy(schedule=one_round, first=first, propose=propose, finish=finish)
