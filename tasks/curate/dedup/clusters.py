"""Clusters of duplicates over all documents at once, and the one that survives in each.

Nothing depends on the order of documents or shards: ties and comparisons go by quality and id only.

Axes: N documents that pass the rules, P values of a signature.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.curate.config import NearDuplicates
from tasks.curate.dedup.minhash import Signatures, estimated_jaccard
from tasks.curate.statistics.words import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Per document: `survivor_N` is the index of the one that stays for it, itself if it stays.

    `exact_N`: its text is that of another document, `same_text_N`, which is the survivor or is itself a near duplicate
    of it. `similarity_N`: estimated Jaccard with the survivor, NaN where no signature was compared.
    """

    survivor_N: Ints
    same_text_N: Ints
    exact_N: NDArray[np.bool_]
    similarity_N: Floats


def clusters(
    ids: Sequence[str],
    quality_N: Floats,
    text_digests: Sequence[bytes] | None,
    signatures: Signatures | None,
    near: NearDuplicates | None,
) -> Clusters:
    """Return who survives for whom: first among equal texts (None: not looked for), then among near duplicates.

    The survivor is the document with the highest quality, the smallest id among equals.
    """
    rank_N = preference(ids, quality_N)
    every = np.arange(len(ids))
    same_text_N = every if text_digests is None else best_of(_labels(text_digests), rank_N)
    exact_N = same_text_N != every
    if signatures is None or near is None:
        return Clusters(same_text_N, same_text_N, exact_N, np.full(len(ids), np.nan))
    by_id = np.argsort(np.argsort(np.array(ids, dtype=object)))
    texts = np.flatnonzero(~exact_N & signatures.comparable_D)
    texts = texts[np.argsort(by_id[texts])]
    labels_N = connected(len(ids), near_pairs(texts, signatures.values_DP, near))
    # Both steps: a copy goes to its text, and the text to the best of its near duplicates.
    survivor_N = best_of(labels_N, rank_N)[same_text_N]
    similarity_N = np.full(len(ids), np.nan)
    merged = np.flatnonzero(~exact_N & (survivor_N != every))
    similarity_N[merged] = estimated_jaccard(signatures.values_DP[survivor_N[merged]], signatures.values_DP[merged])
    return Clusters(survivor_N, same_text_N, exact_N, similarity_N)


def preference(ids: Sequence[str], quality_N: Floats) -> Ints:
    """Return the rank of every document: 0 is the best one, by quality downwards and then id upwards."""
    order = sorted(range(len(ids)), key=lambda i: (-quality_N[i], ids[i]))
    rank_N = np.empty(len(ids), np.int64)
    rank_N[order] = np.arange(len(ids))
    return rank_N


def best_of(labels_N: Ints, rank_N: Ints) -> Ints:
    """Return, per document, the index of the document of its label that has the smallest rank."""
    best = np.zeros(labels_N.max(initial=-1) + 1, np.int64)
    worst_first = np.argsort(-rank_N, kind="stable")
    # Of several values for one place the last one stays: the best.
    best[labels_N[worst_first]] = worst_first
    return best[labels_N]


def near_pairs(texts: Ints, values_NP: NDArray[np.uint32], near: NearDuplicates) -> list[tuple[int, int]]:
    """Return pairs of documents that are near duplicates; `texts` are the ones to compare, in the order of their ids.

    In every band, those with equal rows are gone through in that order: each is compared with the leaders before it,
    joins the first that is similar enough, or becomes a leader itself.
    """
    pairs = []
    for band in range(near.bands):
        rows = np.ascontiguousarray(values_NP[texts, band * near.rows : (band + 1) * near.rows])
        for members in _equal_rows(rows):
            pairs += _led(texts[members], values_NP, near.min_jaccard)
    return pairs


def connected(number: int, pairs: Sequence[tuple[int, int]]) -> Ints:
    """Return a label per document, equal for documents that a chain of pairs joins."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(number, number))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _labels(keys: Sequence[bytes]) -> Ints:
    table: dict[bytes, int] = {}
    return np.array([table.setdefault(key, len(table)) for key in keys], np.int64)


def _equal_rows(rows: NDArray[np.uint32]) -> Iterator[Ints]:
    if len(rows) == 0:
        return
    order = np.lexsort(rows.T)
    differs = np.any(rows[order[1:]] != rows[order[:-1]], axis=1)
    # lexsort is stable, so the members of a group keep the order they came in.
    for group in np.split(order, np.flatnonzero(differs) + 1):
        if len(group) > 1:
            yield group


def _led(members: Ints, values_NP: NDArray[np.uint32], min_jaccard: float | None) -> list[tuple[int, int]]:
    pairs = []
    while len(members) > 1:
        leader, others = members[0], members[1:]
        similar = np.ones(len(others), np.bool_)
        if min_jaccard is not None:
            similar = estimated_jaccard(values_NP[leader], values_NP[others]) >= min_jaccard
        pairs += [(int(leader), int(other)) for other in others[similar]]
        members = others[~similar]
    return pairs
