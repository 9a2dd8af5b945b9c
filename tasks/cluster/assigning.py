"""The unit that decides: groups, names and splits all documents, and describes the domains. Threads are pinned to one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.cluster import decide
from tasks.cluster.buckets import Bucket, Buckets, bucketed
from tasks.cluster.decide import DomainDecision
from tasks.cluster.domains import Readings, cluster_map, domain_summaries, domain_terms, names_of, readings
from tasks.cluster.grouping import Grouping, KeptDocuments
from tasks.cluster.merge import Merge
from tasks.cluster.names import domain_labels
from tasks.cluster.naming import named
from tasks.cluster.partitioning import load_partition, load_vectors
from tasks.cluster.prune import Prune
from tasks.cluster.published.assignments import ASSIGNMENTS, SCHEMA, write_assignments
from tasks.cluster.published.buckets import DomainBucket, DomainBuckets
from tasks.cluster.published.domains import ClusterMap, Domains
from tasks.cluster.sources import SourceDomains, by_source, clear
from tasks.cluster.split import Split
from tasks.cluster.taxonomy.grouping import FoundTopics, by_topic
from tasks.cluster.taxonomy.reading import load_scores, topics_of
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import text_bytes
from tasks.core.threads import one_thread
from tasks.curate.published.documents import read_shard

_COLUMNS = ("id", "source", "duplicate_cluster", "text")
_TOKENS = "pretokens"


@dataclass(frozen=True)
class FoundInClusters:
    """What domains are found in, and how: the vectors of every shard, their partition by k-means, pruning and merging."""

    vectors: tuple[Handle, ...]
    partition: Tree
    prune: Prune | None
    merge: Merge


@dataclass(frozen=True)
class AssignArgs:
    """Group, name and split; `domains` are found or brought by the user, `scores` the columns to average.

    `answers` of a language model name them (None: they are named by their words, or have names).
    `shards` are a tree, because what is decided is written under their names.
    """

    shards: Tree
    domains: FoundInClusters | FoundTopics | SourceDomains
    scores: tuple[str, ...]
    max_chars: int
    split: Split
    seed: int
    buckets: Buckets | None = None
    answers: Handle | None = None


def assign(args: AssignArgs, here: Here) -> UnitResult:
    """Decide on every document, and describe the domains."""
    columns = _COLUMNS if args.buckets is None else (*_COLUMNS, _TOKENS)
    tables = [read_shard(shard.local(), [*columns, *args.scores]) for shard in args.shards]
    documents = _documents(tables, args.scores)
    decide.require_scores(documents)
    vectors_ND = load_vectors(args.domains.vectors) if isinstance(args.domains, FoundInClusters) else None
    with one_thread():
        grouping = _grouping(args, documents)
        chosen = readings(grouping, documents, vectors_ND, args.seed)
        texts = _texts(tables, chosen, args.max_chars)
        terms = domain_terms(chosen, texts)
        names, unnamed, cut = names_of(grouping, documents, terms), None, None
        if args.answers is not None:
            found = named(grouping, names, terms, args.answers.local())
            grouping, unnamed, names = found.grouping, found.unnamed, found.grouping.names or ()
        if args.buckets is not None:
            cut = _cut(args.buckets, grouping, names, terms, documents, tables)
            grouping, names = cut.grouping, cut.names
            chosen = readings(grouping, documents, vectors_ND, args.seed)
            texts = _texts(tables, chosen, args.max_chars)
            terms = [terms[one.topic] for one in cut.buckets]
        decision = decide.decide(documents, grouping, names, args.split, args.seed)
        domains = domain_summaries(documents, decision, terms, chosen, texts)
        clusters = cluster_map(documents, grouping.clusters)
    domains.write(here.folder)
    clusters.write(here.folder)
    if cut is not None:
        cut.told.write(here.folder)
    start = 0
    for shard, table in zip(args.shards, tables, strict=True):
        part = slice(start, start := start + table.num_rows)
        _write_assignments(here.folder / f"{ASSIGNMENTS}/{shard.stem}.parquet", part, documents, decision)
    suggested = clear(documents.sources, documents.bytes_N) if isinstance(args.domains, FoundInClusters) else ()
    summary = _summary(domains, clusters) | {"clear_sources": suggested}
    if cut is not None:
        summary["merged_buckets"] = cut.merged
    if unnamed:
        summary["unnamed"] = unnamed
    return UnitResult(decide.account(documents, grouping), summary)


def _grouping(args: AssignArgs, documents: KeptDocuments) -> Grouping:
    if isinstance(args.domains, FoundInClusters):
        found = args.domains
        return decide.by_cluster(documents, load_partition(found.partition), found.prune, found.merge)
    if isinstance(args.domains, FoundTopics):
        names = [name for name, _ in topics_of(args.domains.learned)[0]]
        return by_topic(load_scores(args.domains.topics), names, documents.bytes_N, args.domains.min_documents)
    return by_source(documents.sources, documents.bytes_N, args.domains)


@dataclass(frozen=True)
class _Cut:
    """Topics cut into buckets, and what is told of them."""

    grouping: Grouping
    names: tuple[str, ...]
    buckets: tuple[Bucket, ...]
    told: DomainBuckets

    @property
    def merged(self) -> list[str]:
        """A sentence per domain that holds several buckets."""
        return [
            f"{one.domain} holds the buckets {', '.join(one.buckets)} of {one.topic}, for one of them is too small"
            for one in self.told.domains
            if len(one.buckets) > 1
        ]


def _cut(
    config: Buckets,
    topics: Grouping,
    names: Sequence[str],
    terms: Sequence[Sequence[str]],
    documents: KeptDocuments,
    tables: list[Any],
) -> _Cut:
    import pyarrow as pa

    tokens_N = pa.concat_tables([table.select([_TOKENS]) for table in tables])[_TOKENS].to_numpy()
    labels = topics.labels or domain_labels(names, terms)
    scores_N = documents.scores_N[config.score]
    grouping, buckets = bucketed(config, topics, names, labels, scores_N, tokens_N, documents.bytes_N)
    assert grouping.names is not None
    told = DomainBuckets(
        score=config.score,
        within=config.within,
        domains=tuple(
            DomainBucket(
                domain=name,
                topic=names[bucket.topic],
                buckets=bucket.buckets,
                at_least=bucket.at_least,
                below=bucket.below,
                documents=len(own := grouping.members(number)),
                tokens=int(tokens_N[own].sum()),
            )
            for number, (name, bucket) in enumerate(zip(grouping.names, buckets, strict=True))
        ),
    )
    return _Cut(grouping, grouping.names, buckets, told)


def _documents(tables: list[Any], score_columns: Iterable[str]) -> KeptDocuments:
    import pyarrow as pa

    table = pa.concat_tables(tables)
    scores = {column: np.asarray(table[column].cast(pa.float64()), dtype=np.float64) for column in score_columns}
    ids, sources, duplicates = (table[column].to_pylist() for column in ("id", "source", "duplicate_cluster"))
    return KeptDocuments(ids, sources, duplicates, text_bytes(table["text"]), scores)


def _texts(tables: list[Any], chosen: Readings, max_chars: int) -> dict[int, str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.chunked_array([chunk for table in tables for chunk in table["text"].chunks], pa.large_string())
    texts = pc.utf8_slice_codeunits(column.take(pa.array(chosen.documents)), 0, max_chars).to_pylist()
    return dict(zip(chosen.documents.tolist(), texts, strict=True))


def _write_assignments(path: Path, part: slice, documents: KeptDocuments, decision: DomainDecision) -> None:
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
