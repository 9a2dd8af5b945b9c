"""The unit that ends deduplication of documents: clusters over all groups, and a table of duplicates per shard."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.dedup.clusters import Survivors, joined, survivors
from tasks.curate.dedup.config import Rehydration
from tasks.curate.dedup.corpus import Corpus, SignedShard
from tasks.curate.dedup.groups import Groups
from tasks.curate.dedup.signing.signatures import Ints, exact_jaccard
from tasks.curate.dedup.similarity import gather_sets

EXACT, NEAR = "exact_duplicate", "near_duplicate"
# Documents that are compared with their survivors at a time.
_BLOCK = 4_096
SCHEMA = pa.schema(
    [
        ("survivor", pa.string()),
        ("filter", pa.string()),
        ("detail", pa.string()),
        ("cluster_documents", pa.int64()),
        ("weight", pa.float64()),
    ]
)


@dataclass(frozen=True)
class UniteArgs:
    """The documents; groups of equal texts and of near duplicates; how a similarity is told."""

    corpus: Corpus
    equal_texts: tuple[Tree, ...]
    near: tuple[Tree, ...]
    sets: tuple[Tree, ...] | None
    rehydration: Rehydration | None


@dataclass(frozen=True)
class _Clusters:
    """Per document: the label of its cluster and of its text, the size of the cluster; who survives in both."""

    labels_N: Ints
    texts_N: Ints
    sizes_N: Ints
    of_clusters: Survivors
    of_texts: Survivors


@dataclass(frozen=True)
class _Fate:
    """The survivor of a document's cluster, its earlier version, and why the document is dropped for it."""

    survivor: str
    version: str | None
    filter: str | None = None
    detail: str | None = None


def duplicates_file(shard: int) -> str:
    """Return the name of the table of shard number `shard`, counted from 0 in the order of the shards given."""
    return f"{shard:05d}.parquet"


def surviving_rows(duplicates: Handle) -> Ints:
    """Return the rows of the documents that survive, from a table of duplicates."""
    table = read_table(duplicates.local(), ("survivor", "filter"))
    return np.flatnonzero(pc.and_(table["survivor"].is_valid(), table["filter"].is_null()).to_numpy())


def unite(args: UniteArgs, here: Here) -> UnitResult:
    """Write, per shard of this run, who survives for each document that takes part; null for those that do not.

    survivor: id of the best of its cluster, itself where there is no other. filter: exact_duplicate if a better document
    has its very text, near_duplicate if it is the best of its text but not of its cluster, null for a survivor. detail:
    which document, of which earlier version, how similar. cluster_documents: documents of the cluster, those of earlier
    versions counted. weight: of a survivor, by the size of its cluster.
    """
    corpus = args.corpus
    passes_N = np.concatenate([shard.column("passes").to_numpy() for shard in corpus.shards])
    clusters = _clusters(args, passes_N)
    counts = {"exact": 0, "near": 0, "of_earlier_versions": 0}
    for i, (shard, start) in enumerate(zip(corpus.shards, corpus.starts.tolist(), strict=False)):
        if shard.version is None:
            rows = np.flatnonzero(passes_N[start : start + shard.documents])
            table, of_earlier = _table(args, clusters, shard, start, rows)
            write_table(table, here.folder / duplicates_file(i))
            filters = table["filter"].to_pylist()
            counts["exact"] += filters.count(EXACT)
            counts["near"] += filters.count(NEAR)
            counts["of_earlier_versions"] += of_earlier
    return UnitResult(summary=_summary(clusters, corpus, int(passes_N.sum()), counts))


def _clusters(args: UniteArgs, passes_N: NDArray[np.bool_]) -> _Clusters:
    alone_N = np.arange(args.corpus.documents)
    texts_N = joined(alone_N, map(Groups.load, args.equal_texts))
    labels_N = joined(texts_N, map(Groups.load, args.near))
    sizes_N = _sizes(labels_N, passes_N)
    of_texts = survivors(texts_N, passes_N & (_sizes(texts_N, passes_N) > 1), args.corpus)
    return _Clusters(labels_N, texts_N, sizes_N, survivors(labels_N, passes_N & (sizes_N > 1), args.corpus), of_texts)


def _sizes(labels_N: Ints, passes_N: NDArray[np.bool_]) -> Ints:
    return np.bincount(labels_N[passes_N], minlength=len(labels_N))[labels_N]


def _table(args: UniteArgs, clusters: _Clusters, shard: SignedShard, start: int, rows: Ints) -> tuple[pa.Table, int]:
    """Return the table of a shard, and how many of its documents fall to one of an earlier version."""
    ids = shard.column("id").to_pylist()
    columns: dict[str, list[Any]] = {name: [None] * shard.documents for name in SCHEMA.names}
    sizes = clusters.sizes_N[rows + start]
    for row, size, weight in zip(rows.tolist(), sizes.tolist(), weights(sizes, args.rehydration).tolist(), strict=True):
        columns["survivor"][row], columns["cluster_documents"][row], columns["weight"][row] = ids[row], size, weight
    shared, of_earlier = rows[sizes > 1], 0
    for first in range(0, len(shared), _BLOCK):
        some = shared[first : first + _BLOCK]
        for row, fate in zip(some.tolist(), _fates(args, clusters, some + start), strict=True):
            columns["survivor"][row] = fate.survivor
            if fate.filter is not None:
                columns["filter"][row], columns["detail"][row], columns["weight"][row] = fate.filter, fate.detail, None
                of_earlier += fate.version is not None
    return pa.table(columns, SCHEMA), of_earlier


def _fates(args: UniteArgs, clusters: _Clusters, numbers: Ints) -> Iterator[_Fate]:
    """Yield, for documents that share a cluster, who survives for it, and why it is dropped."""
    at = clusters.of_clusters.places(clusters.labels_N[numbers])
    best = clusters.of_clusters.numbers[at]
    same_text = numbers.copy()
    copied = np.flatnonzero(np.isin(clusters.texts_N[numbers], clusters.of_texts.labels))
    texts_at = np.zeros(len(numbers), np.int64)
    texts_at[copied] = clusters.of_texts.places(clusters.texts_N[numbers[copied]])
    same_text[copied] = clusters.of_texts.numbers[texts_at[copied]]
    near = (same_text == numbers) & (best != numbers)
    similarities = np.full(len(numbers), np.nan)
    if near.any():
        similarities[near] = _similarities(args, clusters.texts_N[numbers[near]], clusters.texts_N[best[near]])
    for i, number in enumerate(numbers.tolist()):
        survivor, version = _name(clusters.of_clusters, int(at[i]))
        if same_text[i] != number:
            twin, twin_version = _name(clusters.of_texts, int(texts_at[i]))
            also = f", itself a near duplicate of {survivor}{_of(version)}" if same_text[i] != best[i] else ""
            yield _Fate(survivor, version, EXACT, f"same text as {twin}{_of(twin_version)}{also}")
        elif best[i] != number:
            found = f"{'Jaccard' if args.sets is not None else 'estimated Jaccard'} {similarities[i]:.2f}"
            detail = f"version {version[:12]}, {found}" if version else found
            yield _Fate(survivor, version, NEAR, f"near duplicate of {survivor} ({detail})")
        else:
            yield _Fate(survivor, version)


def _similarities(args: UniteArgs, numbers: Ints, others: Ints) -> NDArray[np.float64]:
    if args.sets is None:
        same = args.corpus.signatures(numbers) == args.corpus.signatures(others)
        return np.asarray(same.mean(axis=1), np.float64)
    sets = gather_sets(args.corpus, args.sets, np.concatenate([numbers, others]))
    each = [sets.hashes[start:stop] for start, stop in zip(sets.starts[:-1], sets.starts[1:], strict=True)]
    pairs = zip(each[: len(numbers)], each[len(numbers) :], strict=True)
    return np.array([exact_jaccard(one, other) for one, other in pairs], np.float64)


def _name(found: Survivors, place: int) -> tuple[str, str | None]:
    return found.ids[place].as_py(), found.versions[place].as_py()


def _of(version: str | None) -> str:
    return f" (version {version[:12]})" if version else ""


def _summary(clusters: _Clusters, corpus: Corpus, compared: int, counts: dict[str, int]) -> dict[str, Any]:
    this_run = sum(shard.documents for shard in corpus.shards if shard.version is None)
    shared = np.unique(clusters.labels_N[:this_run][clusters.sizes_N[:this_run] > 1])
    return {
        "clusters": len(shared),
        "largest_cluster": int(clusters.sizes_N[:this_run].max(initial=0)),
        "compared": compared,
        "removed": counts["exact"] + counts["near"],
        **counts,
    }


def weights(sizes_N: NDArray[np.int64], rehydration: Rehydration | None) -> NDArray[np.float64]:
    """Return how often a later stage may repeat the survivor of a cluster of each size; 1 without rehydration.

    >>> weights(np.array([1, 4, 5, 99, 100, 1000]), Rehydration()).tolist()
    [1.0, 3.0, 5.0, 5.0, 8.0, 1.0]
    """
    if rehydration is None:
        return np.ones(len(sizes_N))
    sizes, values = (np.array(column) for column in zip(*rehydration.steps, strict=True))
    return np.asarray(values[np.searchsorted(sizes, sizes_N, "right") - 1], np.float64)
