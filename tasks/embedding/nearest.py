"""Exact nearest neighbours by brute force, in blocks: products of whole numbers, so that no block changes an order.

Axes: N documents, M examples, D dimensions.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.rng import seed_of
from tasks.embedding.documents import cosines, whole_numbers

# Products of a block of examples with all documents: 64 MB.
_BLOCK = 1 << 24
# An order is a number of 53 bits: a product (26 bits with its sign) and the place of a document.
_PLACE_BITS = 26


@dataclass(frozen=True)
class BestRanks:
    """Of each of N documents its best rank over M examples (1: none is nearer to that one), and which example that is.

    Of several examples, the first. `nearest_M`: the cosine of each example's nearest document.
    """

    rank_N: npt.NDArray[np.int64]
    example_N: npt.NDArray[np.int64]
    nearest_M: npt.NDArray[np.float64]


def best_ranks(examples_MD: npt.NDArray[np.float32], documents_ND: npt.NDArray[np.float32]) -> BestRanks:
    """Return the best rank of every document; the rank for an example is 1 + the number of documents nearer to it.

    Raises:
        ValueError: there are more documents than places in an order.
    """
    num_documents = len(documents_ND)
    if num_documents >= 1 << _PLACE_BITS:
        raise ValueError(f"{num_documents:,} documents; at most {1 << _PLACE_BITS:,} can be ranked")
    examples_MD, documents_DN = whole_numbers(examples_MD), whole_numbers(documents_ND).T.copy()
    best_N = np.full(num_documents, num_documents + 1, np.int64)
    example_N, nearest_M = np.zeros(num_documents, np.int64), np.zeros(len(examples_MD))
    step = max(1, _BLOCK // max(1, num_documents))
    for start in range(0, len(examples_MD), step):
        products = examples_MD[start : start + step] @ documents_DN
        nearest_M[start : start + step] = cosines(products.max(axis=1, initial=-np.inf))
        for row, product_N in enumerate(products, start):
            order_N, rank_N = _ranked(product_N)
            better = rank_N < best_N[order_N]
            best_N[order_N[better]], example_N[order_N[better]] = rank_N[better], row
    return BestRanks(best_N, example_N, nearest_M)


def _ranked(product_N: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the places of documents, the nearest first, and their ranks; equally near ones have the same."""
    # One number holds product and place: sorting these is several times as fast as sorting places by products.
    keys_N = product_N.astype(np.float64)
    keys_N *= -float(1 << _PLACE_BITS)
    keys_N += np.arange(len(product_N))
    keys_N.sort()
    whole_N = keys_N.astype(np.int64)
    first_N = np.arange(1, len(whole_N) + 1)
    away_N = whole_N >> _PLACE_BITS
    first_N[1:][away_N[1:] == away_N[:-1]] = 0
    return whole_N & ((1 << _PLACE_BITS) - 1), np.maximum.accumulate(first_N)


def nearest_means(means_KD: npt.NDArray[np.float32], vectors_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return of each vector which mean is nearest to it by Euclidean distance, the first of equals.

    `means_KD`: of vectors of length 1 or 0, so none is longer.
    """
    whole_KD = whole_numbers(means_KD)
    squares_K = (whole_KD.astype(np.float64) ** 2).sum(axis=1)
    step = max(1, _BLOCK // max(1, len(means_KD)))
    blocks = [whole_numbers(vectors_ND[at : at + step]) @ whole_KD.T for at in range(0, len(vectors_ND), step)]
    found = [np.argmin(squares_K - 2 * products.astype(np.float64), axis=1) for products in blocks]
    return np.concatenate([np.zeros(0, np.int64), *found])


def centres(vectors_ND: npt.NDArray[np.float32], number: int, seed: int) -> npt.NDArray[np.float32]:
    """Return the centres of a partition by k-means, shape [K, D]: `number` of them, or fewer where vectors are fewer."""
    from sklearn.cluster import KMeans

    different = len(np.unique(vectors_ND, axis=0))
    model = KMeans(min(number, different), n_init=1, random_state=seed_of(seed, "centres") % 2**32)
    return np.asarray(model.fit(vectors_ND).cluster_centers_, np.float32)
