"""Rank correlation, one rule for all: where a side does not vary there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rank_correlation(left: Sequence[float] | NDArray[Any], right: Sequence[float] | NDArray[Any]) -> float | None:
    """Return Spearman's rho; None where one side does not vary, or of fewer than two pairs.

    >>> rank_correlation([1, 2, 3], [10, 20, 15]), rank_correlation([1, 1], [2, 3])
    (0.5, None)
    """
    from scipy.stats import rankdata

    left_N, right_N = rankdata(left), rankdata(right)
    left_N, right_N = left_N - left_N.mean(), right_N - right_N.mean()
    size = float(np.sqrt((left_N @ left_N) * (right_N @ right_N)))
    return float(left_N @ right_N) / size if size > 0 else None
