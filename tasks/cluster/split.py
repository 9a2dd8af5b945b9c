"""The split of a document: a pure function of its duplicate cluster, so that copies never stand on two sides.

Axis: N documents.
"""

from collections.abc import Sequence

from tasks.cluster.config import DomainSplit, Split
from tasks.core.errors import ConfigError
from tasks.core.rng import seed_of

SPLITS = ("train", "search", "test")


def split_of(duplicate_cluster: str, fractions: DomainSplit, seed: int) -> str:
    """Return `train`, `search` or `test` for all documents of a duplicate cluster.

    >>> split_of("a-document", DomainSplit(search_fraction=0.08, test_fraction=0.08), seed=0)
    'train'
    """
    place = seed_of(seed, "split", duplicate_cluster) / 2**128
    if place < fractions.search_fraction:
        return "search"
    return "test" if place < fractions.held_out else "train"


def splits(
    duplicate_clusters: Sequence[str], domain_N: Sequence[int], names: Sequence[str], config: Split, seed: int
) -> list[str]:
    """Return the split of every document, "" for those without a domain (-1).

    A duplicate cluster that reaches into several domains goes by the shares of the one that holds out most: all of it
    stands on one side, and no copy of what is measured is trained on.

    Raises:
        ConfigError: `per_domain` names a domain that does not exist.
    """
    _require_known(config, names)
    shares = [config.of(name) for name in names]
    decisive: dict[str, int] = {}
    for duplicates, domain in zip(duplicate_clusters, domain_N, strict=True):
        if domain >= 0:
            other = decisive.setdefault(duplicates, domain)
            decisive[duplicates] = max(other, domain, key=lambda number: (shares[number].held_out, -number))
    sides = {duplicates: split_of(duplicates, shares[domain], seed) for duplicates, domain in decisive.items()}
    return [
        "" if domain < 0 else sides[duplicates] for duplicates, domain in zip(duplicate_clusters, domain_N, strict=True)
    ]


def _require_known(config: Split, names: Sequence[str]) -> None:
    if strangers := [name for name in config.per_domain if name not in names]:
        raise ConfigError(
            f"cluster.split.per_domain: no domain is called {', '.join(strangers)}; there are: {', '.join(names)}. "
            "Name one of these."
        )
