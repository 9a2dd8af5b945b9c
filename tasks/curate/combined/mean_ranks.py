"""A weighted mean of ranks: scores of any scale and shape count for as much as their order says."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.curate.combined.method import CombinedMethod, CombinedParams, Floats


class MeanRanks(CombinedParams):
    """The mean of ranks, weighted: which share of all documents, or of all tokens, has a lower score (of equal ones half).

    Weights below 0 count the rank against the document; the sum is over the sum of the weights without their signs.
    """

    kind: Literal["mean_ranks"] = "mean_ranks"
    by: Literal["documents", "tokens"] = "documents"


def ranks(score_N: Floats, size_N: NDArray[np.int64]) -> Floats:
    """Return the share of all sizes that lies below each score, and half of what equals it; NaN without a score.

    >>> ranks(np.array([5.0, np.nan, 1.0, 5.0]), np.array([1, 1, 2, 1])).tolist()
    [0.75, nan, 0.25, 0.75]
    """
    found, rows = np.full(len(score_N), np.nan), np.flatnonzero(~np.isnan(score_N))
    _, group_N = np.unique(score_N[rows], return_inverse=True)
    # Whole numbers up to 2^53 add without an error, in any order.
    sizes_G = np.bincount(group_N, weights=size_N[rows])
    found[rows] = ((np.cumsum(sizes_G) - sizes_G / 2) / max(1.0, float(sizes_G.sum())))[group_N]
    return found


def _combine(config: MeanRanks, scores: Mapping[str, Floats], tokens_N: NDArray[np.int64]) -> Floats:
    size_N = tokens_N if config.by == "tokens" else np.ones(len(tokens_N), np.int64)
    found = np.zeros(len(tokens_N))
    # In the order of names: that of a mapping is no part of what params are.
    weights = sorted(config.weights.items())
    for name, weight in weights:
        found += weight * ranks(scores[name], size_N)
    return found / (sum(abs(weight) for _, weight in weights) or 1.0)


METHOD = CombinedMethod(_combine, by_tokens=lambda config: config.by == "tokens")
