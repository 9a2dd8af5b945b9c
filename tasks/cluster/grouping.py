"""What documents are, and which domain each is in. Axes: N documents, K clusters, D dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.cluster.kmeans import Partition
from tasks.cluster.prune import PruneReason

PRUNED = -1


@dataclass(frozen=True)
class KeptDocuments:
    """What is known of the kept documents, in the order of the shards; `scores_N` has one array per column."""

    ids: Sequence[str]
    sources: Sequence[str]
    duplicate_clusters: Sequence[str]
    bytes_N: npt.NDArray[np.int64]
    scores_N: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Clusters:
    """What k-means made of the documents: a domain (or -1) and mean scores per cluster, and why some were pruned."""

    partition: Partition
    domain_K: npt.NDArray[np.int32]
    means_K: Mapping[str, npt.NDArray[np.float64]]
    pruned: Mapping[int, PruneReason]


@dataclass(frozen=True)
class Grouping:
    """A domain (or -1) per document. Domains are numbered by their bytes, the largest first.

    `clusters` are those the domains were found in, None where the user brought them; those have `names` and `labels` of
    their own.
    """

    domain_N: npt.NDArray[np.int32]
    num_domains: int
    names: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    clusters: Clusters | None = None

    def members(self, domain: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the documents of a domain."""
        return np.flatnonzero(self.domain_N == domain).astype(np.int64)
