"""A toy strategy: mixtures on the line from natural to uniform, and the best measured of them."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams, Pick, best_measured
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.method import Strategy
from tasks.mixture.strategies.rounds import one_round

Array = npt.NDArray[np.float64]


class Halfway(Params):
    """No settings."""

    kind: Literal["halfway"] = "halfway"


def first(params: Halfway, problem: Problem, count: int, seed: int) -> Array:
    """Return mixtures at even distances on the line, shape [count, D]."""
    shares_M = np.linspace(0.1, 0.9, count)[:, None]
    return np.asarray((1 - shares_M) * problem.natural + shares_M * problem.uniform)


def propose(
    params: Halfway, problem: Problem, evidence: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return nothing: the method has one round."""
    return ()


def finish(params: Halfway, decision: DecisionParams, problem: Problem, evidence: Evidence, seed: int) -> Pick:
    """Return the best measured."""
    return best_measured(decision, problem, evidence, "the best on the line")


METHOD = Strategy(schedule=one_round, first=first, propose=propose, finish=finish)
