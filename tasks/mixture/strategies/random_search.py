"""Random search: space-filling draws under the caps, whatever was measured. The baseline of every strategy."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.mixture.designs.space_filling import draws, farthest
from tasks.mixture.predictors.predictor import Predictor
from tasks.mixture.problem import Problem
from tasks.mixture.strategies.expected_improvement import Proposal

Array = npt.NDArray[np.float64]


class RandomSearch(Params):
    """Dirichlet draws around natural, each as far as possible from those before."""

    kind: Literal["random_search"] = "random_search"
    num_draws: PositiveInt = 600
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.3, 1.0, 3.0), min_length=1)


def random_search(
    params: RandomSearch, problem: Problem, predictor: Predictor, measured_RD: Array, count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return `count` mixtures under the recipe's caps, with what the predictor says of them."""
    pool_MD = draws(problem, params.num_draws, params.strengths, 1.0, problem.caps_D, seed)
    chosen_MD = farthest(measured_RD, pool_MD, count)[len(measured_RD) :]
    told = zip(chosen_MD, predictor.mean(chosen_MD), predictor.sd(chosen_MD), strict=True)
    return tuple(Proposal(tuple(row.tolist()), "exploration", float(mean), float(sd)) for row, mean, sd in told)
