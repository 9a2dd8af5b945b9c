"""The decision: which documents stay, in which domain, on which side of the split. Pure; scores and vectors come in.

Axes: N documents, K clusters, G domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.cluster import prune
from tasks.cluster.grouping import PRUNED, Clusters, Grouping, KeptDocuments
from tasks.cluster.kmeans import Partition
from tasks.cluster.merge import Merge, Sizes, merge
from tasks.cluster.prune import Prune
from tasks.cluster.split import SPLITS, Split, splits
from tasks.core.account import Account, Count
from tasks.core.errors import ConfigError, DataError

PRUNED_REASON = "pruned_low_quality"


@dataclass(frozen=True)
class DomainDecision:
    """Which domain each document is in, what the domains are called, and a split (or "") per document."""

    grouping: Grouping
    names: tuple[str, ...]
    split_N: Sequence[str]


def by_cluster(documents: KeptDocuments, partition: Partition, pruning: Prune | None, merging: Merge) -> Grouping:
    """Prune and merge clusters into domains.

    Raises:
        ConfigError: nothing is left, or the clusters do not make the domains asked for.
    """
    clusters = len(partition.centroids_KD)
    sizes = _sizes(documents.bytes_N, partition.labels_N, clusters)
    means_K = {column: _means(scores, partition.labels_N) for column, scores in documents.scores_N.items()}
    reasons = prune.pruned(pruning, {column: means_K[column] for column in prune.columns(pruning)})
    kept = np.setdiff1d(np.arange(clusters), list(reasons)).astype(np.int64)
    kept_sizes = Sizes(sizes.documents_K[kept], sizes.bytes_K[kept])
    groups = merge(merging, partition.centroids_KD[kept], kept_sizes)
    domain_K = np.full(clusters, PRUNED, dtype=np.int32)
    domain_K[kept] = _largest_first(groups, kept_sizes.bytes_K)
    found = Clusters(partition, domain_K, means_K, reasons)
    return Grouping(domain_K[partition.labels_N], int(domain_K.max()) + 1, clusters=found)


def decide(
    documents: KeptDocuments, grouping: Grouping, names: Sequence[str], config: Split, seed: int
) -> DomainDecision:
    """Split the domains, and check that each can be trained on, searched with and tested.

    Raises:
        ConfigError: a domain has no text in a split, or `per_domain` names a domain that does not exist.
    """
    split_N = splits(documents.duplicate_clusters, grouping.domain_N.tolist(), names, config, seed)
    decision = DomainDecision(grouping, tuple(names), split_N)
    _require_all_splits(documents, decision, config)
    return decision


def account(documents: KeptDocuments, grouping: Grouping) -> Account:
    """Return where every document went."""
    pruned_N = grouping.domain_N == PRUNED
    dropped = {PRUNED_REASON: count(documents.bytes_N, pruned_N)} if pruned_N.any() else {}
    return Account(count(documents.bytes_N, np.ones_like(pruned_N)), count(documents.bytes_N, ~pruned_N), dropped)


def count(bytes_N: npt.NDArray[np.int64], chosen_N: npt.NDArray[np.bool_]) -> Count:
    """Return how many documents and bytes are chosen."""
    return Count(int(chosen_N.sum()), int(bytes_N[chosen_N].sum()))


def split_counts(documents: KeptDocuments, decision: DomainDecision) -> list[dict[str, Count]]:
    """Return documents and bytes per domain and split."""
    split_N, domain_N = np.array(decision.split_N, dtype=object), decision.grouping.domain_N
    return [
        {split: count(documents.bytes_N, (domain_N == domain) & (split_N == split)) for split in SPLITS}
        for domain in range(decision.grouping.num_domains)
    ]


def require_scores(documents: KeptDocuments) -> None:
    """Check that every document has every score.

    Raises:
        DataError: one is missing; says which document and how many.
    """
    for column, scores_N in documents.scores_N.items():
        if missing := int(np.isnan(scores_N).sum()):
            raise DataError(
                f"column {column}: {missing:,} of {len(scores_N):,} kept documents have no score; first: document "
                f"number {int(np.isnan(scores_N).argmax())} in the order of the shards. Score all, or drop these in "
                "curate."
            )


def _require_all_splits(documents: KeptDocuments, decision: DomainDecision, config: Split) -> None:
    counts = split_counts(documents, decision)
    wanted = [
        (domain, split)
        for domain, name in enumerate(decision.names)
        for split in (("train",) if config.all_trained else SPLITS)
        # A domain that is held out whole has nothing to train on, and was asked to have nothing.
        if split != "train" or config.of(name).held_out < 1
    ]
    if empty := [(domain, split) for domain, split in wanted if not counts[domain][split].bytes > 0]:
        domain, split = empty[0]
        own, members = config.of(decision.names[domain]), decision.grouping.members(domain).tolist()
        clusters = len({documents.duplicate_clusters[number] for number in members})
        raise ConfigError(
            f"cluster: {len(empty)} of {len(wanted)} pairs of domain and split have no text; first: "
            f"{decision.names[domain]} ({len(members):,} documents in {clusters:,} duplicate clusters; search "
            f"{own.search_fraction:g}, test {own.test_fraction:g}), split {split}. {_remedy(decision.grouping)}"
        )


def _remedy(grouping: Grouping) -> str:
    if grouping.clusters is None:
        return (
            "Give the source more documents, give its records another `source`, or give it other fractions in "
            "cluster.split.per_domain."
        )
    return (
        "Raise cluster.domains.merge.min_documents or the fractions in cluster.split, lower "
        "cluster.domains.merge.num_domains, or give more documents."
    )


def _sizes(bytes_N: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int32], clusters: int) -> Sizes:
    bytes_K = np.zeros(clusters, dtype=np.int64)
    np.add.at(bytes_K, labels_N, bytes_N)
    return Sizes(np.bincount(labels_N, minlength=clusters).astype(np.int64), bytes_K)


def _means(scores_N: npt.NDArray[np.float64], labels_N: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    means_K: npt.NDArray[np.float64] = np.bincount(labels_N, weights=scores_N) / np.bincount(labels_N)
    return means_K


def _largest_first(groups: npt.NDArray[np.int64], bytes_K: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    bytes_G = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.add.at(bytes_G, groups, bytes_K)
    rank = np.empty(len(bytes_G), dtype=np.int32)
    # A stable sort: groups of equal size stay in the order of their first cluster.
    rank[np.argsort(-bytes_G, kind="stable")] = np.arange(len(bytes_G))
    return rank[groups]
