"""Five kinds of toxicity, each with a level from 0 to 3, and Celadon's rule (Arnett et al. 2024, arXiv 2410.22587)."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.curate.statistics.texts import Columns

HEADS = ("race", "gender", "religion", "ability", "violence")
LEVELS = 4
NONE, MILD, TOXIC = 0, 1, 2

Weight = Annotated[float, Field(ge=0)]
HeadWeights = tuple[Weight, Weight, Weight, Weight, Weight]


def verdict(levels_NH: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0 (not toxic), 1 (mild: a warning) or 2 (toxic: rewrite or drop) for levels of 0 to 3, shape [N, 5].

    Toxic is a sum of 7 and more; mild one of 4 to 6, or of 3 from one head.

    >>> verdict(np.array([[1, 1, 1, 0, 0], [0, 3, 0, 0, 0], [3, 3, 1, 0, 0]])).tolist()
    [0, 1, 2]
    """
    total_N, highest_N = levels_NH.sum(axis=1), levels_NH.max(axis=1)
    return np.where(total_N >= 7, TOXIC, np.where((total_N >= 4) | (highest_N > 2), MILD, NONE))


def toxicity_columns(levels_NH: NDArray[np.int64], without_N: NDArray[np.bool_], weights: Sequence[float]) -> Columns:
    """Return the columns of a scorer with these heads: weighted sum, verdict and levels, NaN of what has none."""
    levels_NH = np.where(without_N[:, None], 0, levels_NH)
    columns = {"": levels_NH @ np.array(weights), "verdict": verdict(levels_NH).astype(np.float64)}
    columns |= {head: levels_NH[:, place].astype(np.float64) for place, head in enumerate(HEADS)}
    return {name: np.where(without_N, np.nan, values) for name, values in columns.items()}
