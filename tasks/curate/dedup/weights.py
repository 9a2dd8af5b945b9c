"""Rehydration: what a survivor weighs by the size of its cluster (FineWeb-2, Penedo et al. 2025)."""

import numpy as np
from numpy.typing import NDArray

from tasks.curate.dedup.config import Rehydration


def weights(sizes_N: NDArray[np.int64], rehydration: Rehydration | None) -> NDArray[np.float64]:
    """Return how often a later stage may repeat the survivor of a cluster of each size; 1 without rehydration.

    >>> weights(np.array([1, 4, 5, 99, 100, 1000]), Rehydration()).tolist()
    [1.0, 3.0, 5.0, 5.0, 8.0, 1.0]
    """
    if rehydration is None:
        return np.ones(len(sizes_N))
    sizes, values = (np.array(column) for column in zip(*rehydration.steps, strict=True))
    return np.asarray(values[np.searchsorted(sizes, sizes_N, "right") - 1], np.float64)
