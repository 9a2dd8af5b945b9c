"""The decision: which documents stay, in which domain, on which side of the split. Pure; scores and vectors come in.

Axes: N documents, K clusters, D dimensions, G domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.cluster import prune
from tasks.cluster.config import ClusterParams
from tasks.cluster.kmeans import Partition
from tasks.cluster.merge import Sizes, merge
from tasks.cluster.split import SPLITS, split_of
from tasks.core.account import Account, Count
from tasks.core.errors import ConfigError, DataError

PRUNED = -1
PRUNED_REASON = "pruned_low_quality"


@dataclass(frozen=True)
class Documents:
    """What is known of the kept documents, in the order of the shards; `scores_N` has one array per column."""

    ids: Sequence[str]
    sources: Sequence[str]
    duplicate_clusters: Sequence[str]
    bytes_N: npt.NDArray[np.int64]
    scores_N: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Decision:
    """A domain (or -1) and a split (or "") per document, a domain (or -1) per cluster, and why clusters were pruned.

    Domains are numbered by their bytes, the largest first.
    """

    domain_N: npt.NDArray[np.int32]
    split_N: Sequence[str]
    domain_K: npt.NDArray[np.int32]
    means_K: Mapping[str, npt.NDArray[np.float64]]
    pruned: Mapping[int, prune.Reason]

    @property
    def num_domains(self) -> int:
        """How many domains there are."""
        return int(self.domain_K.max()) + 1


def decide(documents: Documents, partition: Partition, params: ClusterParams) -> Decision:
    """Prune, merge and split.

    Raises:
        ConfigError: nothing is left, or the clusters do not make the domains asked for.
        DataError: a score is missing.
    """
    clusters = len(partition.centroids_KD)
    sizes = _sizes(documents.bytes_N, partition.labels_N, clusters)
    means_K = {column: _means(column, scores, partition.labels_N) for column, scores in documents.scores_N.items()}
    reasons = prune.pruned(params.prune, {column: means_K[column] for column in prune.columns(params.prune)})
    kept = np.setdiff1d(np.arange(clusters), list(reasons)).astype(np.int64)
    kept_sizes = Sizes(sizes.documents_K[kept], sizes.bytes_K[kept])
    groups = merge(params.merge, partition.centroids_KD[kept], kept_sizes)
    domain_K = np.full(clusters, PRUNED, dtype=np.int32)
    domain_K[kept] = _largest_first(groups, kept_sizes.bytes_K)
    domain_N = domain_K[partition.labels_N]
    split_N = [
        "" if domain == PRUNED else split_of(duplicates, params.split, params.seed)
        for domain, duplicates in zip(domain_N.tolist(), documents.duplicate_clusters, strict=True)
    ]
    return Decision(domain_N, split_N, domain_K, means_K, reasons)


def account(documents: Documents, decision: Decision) -> Account:
    """Return where every document went."""
    pruned_N = decision.domain_N == PRUNED
    dropped = {PRUNED_REASON: count(documents.bytes_N, pruned_N)} if pruned_N.any() else {}
    return Account(count(documents.bytes_N, np.ones_like(pruned_N)), count(documents.bytes_N, ~pruned_N), dropped)


def count(bytes_N: npt.NDArray[np.int64], chosen_N: npt.NDArray[np.bool_]) -> Count:
    """Return how many documents and bytes are chosen."""
    return Count(int(chosen_N.sum()), int(bytes_N[chosen_N].sum()))


def split_counts(documents: Documents, decision: Decision) -> list[dict[str, Count]]:
    """Return documents and bytes per domain and split."""
    split_N = np.array(decision.split_N, dtype=object)
    return [
        {split: count(documents.bytes_N, (decision.domain_N == domain) & (split_N == split)) for split in SPLITS}
        for domain in range(decision.num_domains)
    ]


def require_all_splits(names: Sequence[str], counts: Sequence[Mapping[str, Count]]) -> None:
    """Check that every domain can be trained on, searched with and tested.

    Raises:
        ConfigError: the first domain without a document, or without text, in a split, and how many there are.
    """
    empty = [
        (name, split) for name, own in zip(names, counts, strict=True) for split in SPLITS if not own[split].bytes > 0
    ]
    if empty:
        name, split = empty[0]
        documents = sum(own.documents for own in counts[list(names).index(name)].values())
        raise ConfigError(
            f"cluster: {len(empty)} of {len(names) * len(SPLITS)} pairs of domain and split have no text; first: "
            f"{name} ({documents:,} documents), split {split}. Raise cluster.merge.min_documents or the fractions in "
            "cluster.split, lower cluster.merge.num_domains, or give more documents."
        )


def _sizes(bytes_N: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int32], clusters: int) -> Sizes:
    bytes_K = np.zeros(clusters, dtype=np.int64)
    np.add.at(bytes_K, labels_N, bytes_N)
    return Sizes(np.bincount(labels_N, minlength=clusters).astype(np.int64), bytes_K)


def _means(column: str, scores_N: npt.NDArray[np.float64], labels_N: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    if missing := int(np.isnan(scores_N).sum()):
        raise DataError(
            f"column {column}: {missing:,} of {len(scores_N):,} kept documents have no score; first: document number "
            f"{int(np.isnan(scores_N).argmax())} in the order of the shards. Score all, or drop these in curate."
        )
    means_K: npt.NDArray[np.float64] = np.bincount(labels_N, weights=scores_N) / np.bincount(labels_N)
    return means_K


def _largest_first(groups: npt.NDArray[np.int64], bytes_K: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    bytes_G = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.add.at(bytes_G, groups, bytes_K)
    rank = np.empty(len(bytes_G), dtype=np.int32)
    # A stable sort: groups of equal size stay in the order of their first cluster.
    rank[np.argsort(-bytes_G, kind="stable")] = np.arange(len(bytes_G))
    return rank[groups]
