"""Clusters: what groups join, who survives in each, and one table of duplicates per shard.

A cluster is what a chain of groups joins. Its survivor is, in this order: a document of an earlier version, the one with
the highest quality, the one with the smallest id. Nothing depends on the order of documents, shards or groups.

Memory: about 100 bytes per document (595 MB for 5 million, measured), groups being read one file at a time, and the id of
each cluster's survivor.

Axes: N documents.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.curate.dedup.groups import Groups, Ints
from tasks.curate.dedup.library import Library
from tasks.curate.statistics.shards import read_shard

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


def survivors(labels_N: Ints, among_N: NDArray[np.bool_], library: Library) -> Survivors:
    """Return the best document of every cluster that has some of those `among_N`.

    Raises:
        DataError: a quality is no finite number.
    """
    nobody = np.zeros(0, np.int64)
    kept = _table(nobody, nobody, pa.chunked_array([], pa.string()), np.zeros(0), None)
    waiting: list[pa.Table] = []
    for shelf, start in zip(library.shelves, library.starts.tolist(), strict=False):
        rows = np.flatnonzero(among_N[start : start + shelf.documents])
        if len(rows) == 0:
            continue
        standing = read_shard(shelf.standing, ("id", "quality")).take(rows)
        numbers, quality = rows + start, standing["quality"].to_numpy()
        if not np.isfinite(quality).all():
            raise DataError(f"{shelf.standing}: {int((~np.isfinite(quality)).sum())} qualities are not finite numbers.")
        waiting.append(_table(labels_N[numbers], numbers, standing["id"], quality, shelf.version))
        if sum(map(len, waiting)) > _CANDIDATES:
            kept, waiting = _best([kept, *waiting]), []
    kept = _best([kept, *waiting])
    return Survivors(
        kept["label"].to_numpy(), kept["number"].to_numpy(), _one_chunk(kept["id"]), _one_chunk(kept["version"])
    )


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


def _table(
    labels: Ints, numbers: Ints, ids: pa.ChunkedArray, quality: NDArray[np.float64], version: str | None
) -> pa.Table:
    columns = {
        "label": pa.array(labels, pa.int64()),
        "later": pa.array(np.full(len(labels), version is None)),
        # Sorted upwards: the best first.
        "fault": pa.array(-quality, pa.float64()),
        "id": ids.cast(pa.large_string()),
        "number": pa.array(numbers, pa.int64()),
        "version": pa.array([version] * len(labels), pa.large_string()),
    }
    return pa.table(columns)


def _best(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    table = table.sort_by([(name, "ascending") for name in ("label", "later", "fault", "id", "number")])
    labels = table["label"].to_numpy()
    return table.filter(pa.array(np.concatenate([[True], labels[1:] != labels[:-1]])[: len(labels)]))


def _one_chunk(column: pa.ChunkedArray) -> pa.LargeStringArray:
    return column.combine_chunks()
