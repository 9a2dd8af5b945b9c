"""Choosing a strategy: what to measure next."""

from typing import Annotated, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem
from tasks.mixture.strategies.expected_improvement import ExpectedImprovement, Proposal, expected_improvement
from tasks.mixture.strategies.random_search import RandomSearch, random_search

Array = npt.NDArray[np.float64]
StrategyParams = Annotated[ExpectedImprovement | RandomSearch, Field(discriminator="kind")]


def propose(
    params: StrategyParams, problem: Problem, predictor: Predictor, measured_RD: Array, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures to measure next, none measured before; deterministic from the seed."""
    match params:
        case ExpectedImprovement():
            return expected_improvement(params, problem, predictor, measured_RD, count, seed)
        case RandomSearch():
            return random_search(params, problem, predictor, measured_RD, count, seed)
        case _:
            assert_never(params)
