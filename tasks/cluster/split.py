"""The split of a document: a pure function of its duplicate cluster, so that copies never stand on two sides."""

from tasks.cluster.config import Split
from tasks.core.rng import seed_of

SPLITS = ("train", "search", "test")


def split_of(duplicate_cluster: str, config: Split, seed: int) -> str:
    """Return `train`, `search` or `test` for all documents of a duplicate cluster.

    >>> split_of("a-document", Split(), seed=0)
    'train'
    """
    place = seed_of(seed, "split", duplicate_cluster) / 2**128
    if place < config.search_fraction:
        return "search"
    return "test" if place < config.search_fraction + config.test_fraction else "train"
