"""In which order to train on domains one after the other: nearest to nearest, farthest first, or drawn.

Domains are compared by the cosine of their mean embeddings (arXiv 2402.17400 finds that a similar order specialises and a
diverse one transfers better).

Axes: N domains, D dimensions.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tasks.core.errors import DataError
from tasks.core.rng import generator

OrderKind = Literal["similar", "diverse", "random"]
ORDERS: tuple[OrderKind, ...] = get_args(OrderKind)
Array = npt.NDArray[np.float64]


def cosines(means_ND: Array, names: tuple[str, ...]) -> Array:
    """Return the cosine of every domain's mean vector with every other's, [N, N].

    Raises:
        DataError: nothing is known of a domain's text.
    """
    sizes_N = np.linalg.norm(means_ND, axis=1)
    if (empty := np.flatnonzero(~(sizes_N > 0))).size:
        raise DataError(
            f"{names[empty[0]]}: the embedder knows nothing of its documents. Take more of them, or another."
        )
    unit_ND = means_ND / sizes_N[:, None]
    found_NN: Array = unit_ND @ unit_ND.T
    return found_NN


def in_order(cosines_NN: Array, kind: OrderKind, first: int, seed: int) -> list[int]:
    """Return the domains, each of which is the nearest (farthest) to the one before of those that are left.

    `random` is a permutation that `seed` draws, whatever is near; `first` then counts for nothing.

    >>> near = np.array([[1.0, 0.2, 0.9], [0.2, 1.0, 0.5], [0.9, 0.5, 1.0]])
    >>> in_order(near, "similar", 0, 0), in_order(near, "diverse", 0, 0)
    ([0, 2, 1], [0, 1, 2])
    """
    number = len(cosines_NN)
    if kind == "random":
        drawn: list[int] = generator(seed, "domain order").permutation(number).tolist()
        return drawn
    sign, found = (1.0 if kind == "similar" else -1.0), [first]
    while len(found) < number:
        left = [one for one in range(number) if one not in found]
        found.append(max(left, key=lambda one: (sign * cosines_NN[found[-1], one], -one)))
    return found
