"""A local optimiser on the simplex under caps: move weight from one domain to another while it helps. No gradients."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_STEPS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
_MAX_MOVES = 60


def climb(score: Callable[[Array], Array], start_D: Array, caps_D: Array) -> Array:
    """Return the best mixture found from `start_D` by moving weight between two domains; `score` maps [M, D] to [M].

    Steps get smaller when no move helps. Weights stay in [0, cap] and sum to what they summed to.
    """
    best_D, best = start_D, float(score(start_D[None])[0])
    for step in _STEPS:
        for _ in range(_MAX_MOVES):
            moved_MD = moves(best_D, caps_D, step)
            scores_M = score(moved_MD)
            winner = int(np.argmax(scores_M))
            if not scores_M[winner] > best:
                break
            best_D, best = moved_MD[winner], float(scores_M[winner])
    return best_D


def moves(weights_D: Array, caps_D: Array, step: float) -> Array:
    """Return the mixture itself, then one for every pair of domains with up to `step` of weight moved between them."""
    domains = len(weights_D)
    giver, taker = (index.ravel() for index in np.meshgrid(np.arange(domains), np.arange(domains), indexing="ij"))
    amount_M = np.minimum(step, np.minimum(weights_D[giver], (caps_D - weights_D)[taker]))
    useful_M = (giver != taker) & (amount_M > 1e-9)
    giver, taker, amount_M = giver[useful_M], taker[useful_M], amount_M[useful_M]
    moved_MD = np.repeat(weights_D[None], len(giver) + 1, axis=0)
    rows = np.arange(1, len(giver) + 1)
    moved_MD[rows, giver] = np.maximum(moved_MD[rows, giver] - amount_M, 0.0)
    moved_MD[rows, taker] += amount_M
    return moved_MD
