"""Clusters: what groups join, and who survives in each.

A cluster is what a chain of groups joins. Its survivor is, in this order: a document of an earlier version, one of the
best quality, the longest of those, the one with the smallest id. A document that is the beginning of another in its
cluster never survives for it. Nothing depends on the order of documents, shards or groups.

Memory: about 110 bytes per document, groups being read one file at a time; the id of each cluster's survivor; the texts
of one shard at a time, of those that hold a longer document than the best of its cluster.

Axes: N documents.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.curate.dedup.corpus import Corpus, SignedShard
from tasks.curate.dedup.groups import Groups
from tasks.curate.dedup.signing.signatures import Ints
from tasks.curate.dedup.signing.unit import DIGESTS, LENGTHS
from tasks.curate.statistics.texts import texts_of

# Qualities this close are even, and the longer text wins. Measured here on 3,600 documents of 15 kinds: cut to 87 %, 96 %
# gain less than this; with two dozen lines of a menu in front of them, 60 % of those that grow by a twelfth lose more.
EVEN = 0.05
# Candidates for survivors that are gathered before all but the best of each cluster are let go.
_CANDIDATES = 1 << 20
# Pairs joined at a time: about 60 bytes each.
_PAIRS = 1 << 21


@dataclass(frozen=True)
class Survivors:
    """Per cluster, by its label, ascending: the number of the document that survives, its id, its earlier version."""

    labels: Ints
    numbers: Ints
    ids: pa.LargeStringArray
    versions: pa.LargeStringArray

    def places(self, labels: Ints) -> Ints:
        """Return where the clusters of these labels stand."""
        return np.searchsorted(self.labels, labels)


def joined(labels_N: Ints, groups: Iterable[Groups]) -> Ints:
    """Return labels in which every group is one cluster; a label is the smallest number of its cluster.

    `labels_N` are such labels already: joining can go on where it stopped.
    """
    labels_N = labels_N.copy()
    for some in groups:
        firsts = np.repeat(some.members[some.starts[:-1]], np.diff(some.starts))
        for start in range(0, len(firsts), _PAIRS):
            part = slice(start, start + _PAIRS)
            labels_N = _joined_pairs(labels_N, firsts[part], some.members[part])
    return labels_N


def survivors(labels_N: Ints, among_N: NDArray[np.bool_], corpus: Corpus) -> Survivors:
    """Return the best document of every cluster that has some of those `among_N`.

    Raises:
        DataError: a quality is no finite number.
    """
    best_N = _best_qualities(labels_N, among_N, corpus)
    kept, waiting = _rows_of(corpus.shards[0], labels_N[:0], labels_N[:0], 0), list[pa.Table]()
    for shard, start, numbers in _competing(labels_N, among_N, corpus):
        even = numbers[_qualities(shard, numbers - start) >= best_N[labels_N[numbers]] - EVEN]
        waiting.append(_rows_of(shard, labels_N[even], even, start))
        if sum(map(len, waiting)) > _CANDIDATES:
            kept, waiting = _longest([kept, *waiting]), []
    kept = _longest([kept, *waiting])
    kept = _longest([kept, *_continuations(kept, labels_N, among_N, corpus)])
    return Survivors(
        kept["label"].to_numpy(), kept["number"].to_numpy(), _one_chunk(kept["id"]), _one_chunk(kept["version"])
    )


def _competing(labels_N: Ints, among_N: NDArray[np.bool_], corpus: Corpus) -> Iterator[tuple[SignedShard, int, Ints]]:
    """Yield, per shard, its first number and those of its documents that may survive: beside an earlier version's, none."""
    taken_N = np.zeros(len(labels_N), np.bool_)
    starts = corpus.starts.tolist()
    for shard, start in zip(corpus.shards, starts, strict=False):
        if shard.version is not None:
            stop = start + shard.documents
            taken_N[labels_N[start:stop][among_N[start:stop]]] = True
    for shard, start in zip(corpus.shards, starts, strict=False):
        numbers = np.flatnonzero(among_N[start : start + shard.documents]) + start
        if shard.version is None:
            numbers = numbers[~taken_N[labels_N[numbers]]]
        if len(numbers):
            yield shard, start, numbers


def _best_qualities(labels_N: Ints, among_N: NDArray[np.bool_], corpus: Corpus) -> NDArray[np.float64]:
    """Return, by label, the highest quality of a cluster."""
    best_N = np.full(len(labels_N), -np.inf)
    for shard, start, numbers in _competing(labels_N, among_N, corpus):
        np.maximum.at(best_N, labels_N[numbers], _qualities(shard, numbers - start))
    return best_N


def _qualities(shard: SignedShard, rows: Ints) -> NDArray[np.float64]:
    quality = shard.column("quality").to_numpy()[rows]
    if not np.isfinite(quality).all():
        raise DataError(
            f"{shard.standing.name}: {int((~np.isfinite(quality)).sum())} qualities are not finite numbers."
        )
    return np.asarray(quality, np.float64)


def _continuations(kept: pa.Table, labels_N: Ints, among_N: NDArray[np.bool_], corpus: Corpus) -> Iterator[pa.Table]:
    """Yield the documents that begin with the whole text of the one that is kept of their cluster, and go on."""
    labels, best, bytes_K = (kept[name].to_numpy() for name in ("label", "number", "bytes"))
    for shard, start, numbers in _competing(labels_N, among_N, corpus):
        if shard.version is not None:
            continue
        place = np.searchsorted(labels, labels_N[numbers])
        longer = shard.array(LENGTHS)[numbers - start] > bytes_K[place]
        if longer.any():
            some, place = numbers[longer], place[longer]
            some = some[_begin_with(shard, some - start, bytes_K[place], corpus.gather(DIGESTS, best[place]))]
            yield _rows_of(shard, labels_N[some], some, start)


def _begin_with(shard: SignedShard, rows: Ints, bytes_R: Ints, digests_R: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which texts begin with so many bytes of this digest."""
    texts = texts_of(shard.texts.read(("text",))["text"])
    whole, starts = memoryview(texts.data), texts.offsets[rows].tolist()
    each = zip(starts, bytes_R.tolist(), digests_R, strict=True)
    found = [hashlib.sha256(whole[start : start + size]).digest() == digest.tobytes() for start, size, digest in each]
    return np.array(found, np.bool_)


def _joined_pairs(labels_N: Ints, ones: Ints, others: Ints) -> Ints:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    left, right = labels_N[ones], labels_N[others]
    apart = left != right
    if not apart.any():
        return labels_N
    nodes, ends = np.unique(np.concatenate([left[apart], right[apart]]), return_inverse=True)
    pairs = ends.reshape(2, -1)
    graph = coo_matrix((np.ones(pairs.shape[1], np.bool_), (pairs[0], pairs[1])), shape=(len(nodes), len(nodes)))
    component = connected_components(graph, directed=False)[1]
    smallest = np.full(len(nodes), len(labels_N))
    np.minimum.at(smallest, component, nodes)
    # Labels are numbers of documents that carry themselves, so two steps lead from any document to its new label.
    roots_N = np.arange(len(labels_N))
    roots_N[nodes] = smallest[component]
    return roots_N[labels_N]


def _rows_of(shard: SignedShard, labels: Ints, numbers: Ints, start: int) -> pa.Table:
    rows = numbers - start
    columns = {
        "label": pa.array(labels, pa.int64()),
        "bytes": pa.array(shard.array(LENGTHS, "r")[rows], pa.int64()),
        "id": shard.column("id").take(rows).cast(pa.large_string()),
        "number": pa.array(numbers, pa.int64()),
        "version": pa.array([shard.version] * len(labels), pa.large_string()),
    }
    return pa.table(columns)


def _longest(tables: list[pa.Table]) -> pa.Table:
    """Return the longest document of every label, of even ones that with the smallest id; by label, ascending."""
    table = pa.concat_tables(tables)
    order = [("label", "ascending"), ("bytes", "descending"), ("id", "ascending"), ("number", "ascending")]
    table = table.sort_by(order)
    labels = table["label"].to_numpy()
    return table.filter(pa.array(np.concatenate([[True], labels[1:] != labels[:-1]])[: len(labels)]))


def _one_chunk(column: pa.ChunkedArray) -> pa.LargeStringArray:
    return column.combine_chunks()
