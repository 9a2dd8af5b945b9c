"""Merging kept clusters into domains by Ward linkage on their centroids. Axes: K clusters, D dimensions."""

from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from tasks.cluster import defaults
from tasks.core.errors import ConfigError
from tasks.core.params import Params

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# One domain is no mixture.
_LEAST_DOMAINS = 2


class WardMerge(Params):
    """Ward linkage on the kept centroids, cut where `num_domains` groups are large enough to be a domain.

    Left open, both numbers follow the corpus; then the clusters may make fewer domains, but at least two.
    """

    kind: Literal["ward"] = "ward"
    num_domains: PositiveInt | None = Field(
        default=None,
        description="null = a tenth of the square root of the number of documents, 3 to 16, or what they make",
    )
    min_share: float = Field(
        default=0.01, ge=0, lt=1, description="of the kept bytes; a smaller group joins its nearest"
    )
    min_documents: PositiveInt | None = Field(
        default=None, description="a smaller group joins its nearest; null = a fiftieth of the documents, 3 to 100"
    )


class DistanceMerge(Params):
    """Ward linkage on the kept centroids, cut at a distance: the rule of CLIMB's code (1.5 there)."""

    kind: Literal["ward_distance"]
    max_distance: PositiveFloat = 1.5


Merge = Annotated[WardMerge | DistanceMerge, Field(discriminator="kind")]


@dataclass(frozen=True)
class Sizes:
    """How large the clusters are: documents and bytes, shape [K] each."""

    documents_K: Ints
    bytes_K: Ints


def merge(config: Merge, centroids_KD: Floats, sizes: Sizes) -> Ints:
    """Return a group per cluster, shape [K], numbered from 0 by first appearance.

    Raises:
        ConfigError: the clusters do not make as many groups of the size asked for; says how many they make.
    """
    match config:
        case WardMerge():
            return _ward(config, centroids_KD, sizes)
        case DistanceMerge():
            return _cut(centroids_KD, config.max_distance, "distance")
        case _:
            assert_never(config)


def _ward(config: WardMerge, centroids_KD: Floats, sizes: Sizes) -> Ints:
    # Going down the tree, one cut splits one group in two: the number of large groups changes by one at most, so the
    # first cut that has enough of them has just as many as asked for. Outliers split off on the way join the nearest.
    documents = int(sizes.documents_K.sum())
    few = config.min_documents or defaults.min_documents(documents)
    most = config.num_domains or defaults.num_domains(documents)
    best, domains_K = 0, np.zeros(len(centroids_KD), dtype=np.int64)
    for groups in range(1, len(centroids_KD) + 1):
        labels_K = _cut(centroids_KD, groups, "maxclust")
        large = _large(labels_K, sizes, few, config.min_share)
        if best < len(large):
            best, domains_K = len(large), _numbered(_joined(labels_K, large, centroids_KD, sizes))
        if best == most:
            return domains_K
    if config.num_domains is None and best >= _LEAST_DOMAINS:
        return domains_K
    raise ConfigError(
        f"cluster.domains.merge: {len(centroids_KD)} kept clusters of {documents:,} documents make at most {best} groups "
        f"with {few:,} documents and {config.min_share:.1%} of the bytes; num_domains asks for "
        f"{config.num_domains or _LEAST_DOMAINS}. Lower num_domains, min_documents or min_share, raise "
        "kmeans.num_clusters_initial, or give more documents."
    )


def _large(labels_K: Ints, sizes: Sizes, min_documents: int, min_share: float) -> Ints:
    documents_G = np.bincount(labels_K, weights=sizes.documents_K)
    share_G = np.bincount(labels_K, weights=sizes.bytes_K) / sizes.bytes_K.sum()
    return np.flatnonzero((documents_G >= min_documents) & (share_G >= min_share)).astype(np.int64)


def _joined(labels_K: Ints, large: Ints, centroids_KD: Floats, sizes: Sizes) -> Ints:
    centre_LD = np.stack(
        [np.average(centroids_KD[labels_K == g], axis=0, weights=sizes.bytes_K[labels_K == g]) for g in large]
    )
    distance_KL = np.linalg.norm(centroids_KD[:, None] - centre_LD[None], axis=2)
    return np.where(np.isin(labels_K, large), labels_K, large[distance_KL.argmin(axis=1)])


def _cut(centroids_KD: Floats, at: float, criterion: str) -> Ints:
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(centroids_KD) == 1:
        return np.zeros(1, dtype=np.int64)
    return _numbered(fcluster(linkage(centroids_KD, "ward"), at, criterion))


def _numbered(labels_K: Ints) -> Ints:
    """Return groups numbered from 0 in the order in which they first appear."""
    _, first, inverse = np.unique(labels_K, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
