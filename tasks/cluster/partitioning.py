"""The unit that partitions all documents by k-means over their vectors. Threads are pinned to one.

Axes: N documents, D dimensions, K clusters.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.cluster.kmeans import KMeans, Partition, partition
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import text_bytes
from tasks.core.threads import one_thread
from tasks.curate.published.documents import read_shard

_LABELS, _CENTROIDS = "labels.npy", "centroids.npy"


@dataclass(frozen=True)
class GroupArgs:
    """K-means over the vectors of all shards, which weigh as much as their documents have bytes."""

    shards: tuple[Handle, ...]
    vectors: tuple[Handle, ...]
    kmeans: KMeans
    seed: int


def group(args: GroupArgs, here: Here) -> UnitResult:
    """Partition all documents by k-means."""
    bytes_N = np.concatenate([text_bytes(read_shard(shard.local(), ["text"])["text"]) for shard in args.shards])
    with one_thread():
        found = partition(load_vectors(args.vectors), bytes_N, args.kmeans, args.seed)
    np.save(here.folder / _LABELS, found.labels_N)
    np.save(here.folder / _CENTROIDS, found.centroids_KD)
    return UnitResult()


def load_vectors(vectors: tuple[Handle, ...]) -> npt.NDArray[np.float32]:
    """Return the vectors of all documents, shape [N, D], in the order of the shards."""
    return np.concatenate([np.load(handle.local()) for handle in vectors])


def load_partition(files: Tree) -> Partition:
    """Return the clusters that `group` wrote."""
    return Partition(np.load(files[_LABELS].local()), np.load(files[_CENTROIDS].local()))
