"""Choosing a design: the first mixtures to measure, besides natural and uniform."""

from typing import assert_never

import numpy as np
import numpy.typing as npt

from tasks.mixture.designs.space_filling import SpaceFilling, space_filling
from tasks.mixture.problem import Problem

Array = npt.NDArray[np.float64]
# A second design makes this a union with a discriminator, as strategies and predictors have.
DesignParams = SpaceFilling


def design(params: DesignParams, problem: Problem, count: int, seed: int) -> Array:
    """Return `count` mixtures, shape [count, domains], under the proxies' caps."""
    match params:
        case SpaceFilling():
            return space_filling(params, problem, count, seed)
        case _:
            assert_never(params)
