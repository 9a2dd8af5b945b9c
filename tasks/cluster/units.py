"""The units of the cluster stage: what a worker does, and the files it leaves. Threads are pinned to one."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from tasks.cluster import decide
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.decide import Decision
from tasks.cluster.domains import Readings, cluster_map, domain_summaries, domain_terms, names_of, readings
from tasks.cluster.embedders import kinds as embedders
from tasks.cluster.embedders import tfidf
from tasks.cluster.embedders.kinds import Embedder
from tasks.cluster.embedders.tfidf import TfidfEmbedder
from tasks.cluster.grouping import Documents, Grouping
from tasks.cluster.kmeans import KMeans, Partition, partition
from tasks.cluster.published.assignments import ASSIGNMENTS, SCHEMA, write_assignments
from tasks.cluster.published.domains import ClusterMap, Domains
from tasks.cluster.shards import Shard
from tasks.cluster.sources import SourceDomains, by_source, clear
from tasks.core.rng import seed_of
from tasks.core.stage import UnitResult
from tasks.core.tables import text_bytes
from tasks.curate.published.documents import read_beginnings, read_shard

VECTORS = "vectors.npy"
_COLUMNS = ("id", "source", "duplicate_cluster", "text")


@dataclass(frozen=True)
class LearnArgs:
    """Learn the terms of the TF-IDF embedder from a sample of all shards."""

    shards: tuple[Shard, ...]
    embedder: TfidfEmbedder
    max_chars: int
    seed: int


@dataclass(frozen=True)
class EmbedArgs:
    """Embed one shard; `learned` is the folder `learn` left, for the embedder that has one."""

    shard: Shard
    embedder: Embedder
    max_chars: int
    learned: Path | None


@dataclass(frozen=True)
class Embedded:
    """The vectors of all shards: one file per shard, and a key for all of them."""

    shards: tuple[Shard, ...]
    vectors: tuple[Path, ...]
    key: str

    def load(self) -> npt.NDArray[np.float32]:
        """Return the vectors of all documents, in the order of the shards."""
        return np.concatenate([np.load(path) for path in self.vectors])


@dataclass(frozen=True)
class GroupArgs:
    """K-means over the vectors of all shards."""

    embedded: Embedded
    kmeans: KMeans
    seed: int


@dataclass(frozen=True)
class Found:
    """What domains are found in: the vectors, and the folder `group` left."""

    embedded: Embedded
    partition: Path

    def load(self) -> Partition:
        """Return the clusters of all documents."""
        return Partition(np.load(self.partition / "labels.npy"), np.load(self.partition / "centroids.npy"))


@dataclass(frozen=True)
class AssignArgs:
    """Group, name and split; `found` is None where the user brings the domains, `scores` are the columns to average."""

    shards: tuple[Shard, ...]
    found: Found | None
    scores: tuple[str, ...]
    params: ClusterParams


def learn(args: LearnArgs, folder: Path) -> UnitResult:
    """Fit TF-IDF on the documents whose hashed ids are smallest: a sample that no order of shards can change."""
    with _one_thread():
        sample = heapq.nsmallest(args.embedder.fit_documents, _hashed(args), key=lambda entry: entry[0])
        tfidf.save(tfidf.fit([text for _, text in sample], args.embedder, args.seed), folder)
    return UnitResult()


def embed(args: EmbedArgs, folder: Path) -> UnitResult:
    """Embed the documents of a shard."""
    texts = read_beginnings(args.shard.path, args.max_chars)
    with _one_thread():
        vectors_ND = embedders.embed(args.embedder, texts, args.learned)
    np.save(folder / VECTORS, vectors_ND)
    return UnitResult()


def group(args: GroupArgs, folder: Path) -> UnitResult:
    """Partition all documents by k-means."""
    bytes_N = np.concatenate([text_bytes(read_shard(shard.path, ["text"])["text"]) for shard in args.embedded.shards])
    with _one_thread():
        found = partition(args.embedded.load(), bytes_N, args.kmeans, args.seed)
    np.save(folder / "labels.npy", found.labels_N)
    np.save(folder / "centroids.npy", found.centroids_KD)
    return UnitResult()


def assign(args: AssignArgs, folder: Path) -> UnitResult:
    """Decide on every document, and describe the domains."""
    tables = [read_shard(shard.path, [*_COLUMNS, *args.scores]) for shard in args.shards]
    documents = _documents(tables, args.scores)
    decide.require_scores(documents)
    with _one_thread():
        grouping = _grouping(args, documents)
        chosen = readings(grouping, documents, args.found.embedded.load() if args.found else None, args.params.seed)
        texts = _texts(tables, chosen, args.params.max_chars)
        terms = domain_terms(chosen, texts)
        names = names_of(grouping, documents, terms)
        decision = decide.decide(documents, grouping, names, args.params.split, args.params.seed)
        domains = domain_summaries(documents, decision, terms, chosen, texts)
        clusters = cluster_map(documents, grouping.clusters)
    domains.write(folder)
    clusters.write(folder)
    start = 0
    for shard, table in zip(args.shards, tables, strict=True):
        part = slice(start, start := start + table.num_rows)
        _write_assignments(folder / f"{ASSIGNMENTS}/{shard.number}.parquet", part, documents, decision)
    suggested = clear(documents.sources, documents.bytes_N) if args.found else ()
    return UnitResult(decide.account(documents, grouping), _summary(domains, clusters) | {"clear_sources": suggested})


def _grouping(args: AssignArgs, documents: Documents) -> Grouping:
    match args.params.domains:
        case FoundDomains() as config:
            assert args.found is not None, "domains are found in vectors"
            return decide.by_cluster(documents, args.found.load(), config)
        case SourceDomains() as config:
            return by_source(documents.sources, documents.bytes_N, config)
        case _:
            assert_never(args.params.domains)


def _hashed(args: LearnArgs) -> Iterable[tuple[int, str]]:
    for shard in args.shards:
        ids = read_shard(shard.path, ["id"])["id"].to_pylist()
        for name, text in zip(ids, read_beginnings(shard.path, args.max_chars), strict=True):
            yield seed_of(args.seed, "learn", name), text


def _documents(tables: list[Any], score_columns: Iterable[str]) -> Documents:
    import pyarrow as pa

    table = pa.concat_tables(tables)
    scores = {column: np.asarray(table[column].cast(pa.float64()), dtype=np.float64) for column in score_columns}
    ids, sources, duplicates = (table[column].to_pylist() for column in ("id", "source", "duplicate_cluster"))
    return Documents(ids, sources, duplicates, text_bytes(table["text"]), scores)


def _texts(tables: list[Any], chosen: Readings, max_chars: int) -> dict[int, str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.chunked_array([chunk for table in tables for chunk in table["text"].chunks], pa.large_string())
    texts = pc.utf8_slice_codeunits(column.take(pa.array(chosen.documents)), 0, max_chars).to_pylist()
    return dict(zip(chosen.documents.tolist(), texts, strict=True))


def _write_assignments(path: Path, part: slice, documents: Documents, decision: Decision) -> None:
    import pyarrow as pa

    ids, grouping = documents.ids[part], decision.grouping
    labels = [None] * len(ids) if grouping.clusters is None else grouping.clusters.partition.labels_N[part]
    columns = {"id": ids, "kmeans_cluster": labels, "domain": grouping.domain_N[part], "split": decision.split_N[part]}
    path.parent.mkdir(exist_ok=True)
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    write_assignments(pa.Table.from_arrays(arrays, schema=SCHEMA), path)


def _summary(domains: Domains, clusters: ClusterMap) -> dict[str, Any]:
    pruned = [cluster for cluster in clusters.clusters if cluster.pruned]
    return {
        "domains": {
            domain.name: domain.model_dump(mode="json", include={"label", "documents", "bytes", "splits"})
            for domain in domains.domains
        },
        "clusters": len(clusters.clusters),
        "clusters_pruned": len(pruned),
        "pruned": [one.model_dump(mode="json", include={"cluster", "documents", "bytes", "pruned"}) for one in pruned],
    }


def _one_thread() -> Any:
    # Ray workers may have loaded BLAS before the environment was pinned.
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
