"""The split of a document: a pure function of its duplicate cluster, so that copies never stand on two sides.

Axis: N documents.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.core.rng import seed_of

SPLITS = ("train", "search", "test")
# With fewer duplicate clusters a side can be empty by chance: 8 % of 50 are none in 1.5 % of all cases.
_FEW = 50


class DomainSplit(Params):
    """Shares of one domain's duplicate clusters; together 1 = nothing is left to train on: a domain only held out."""

    search_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if not self.search_fraction + self.test_fraction <= 1:
            raise ValueError(f"{self.search_fraction} + {self.test_fraction} is more than there is")
        return self

    @property
    def held_out(self) -> float:
        """The share that is not trained on."""
        return self.search_fraction + self.test_fraction


class Split(Params):
    """Shares of the duplicate clusters held out: `search` is measured while searching, `test` once at the end.

    `per_domain` gives a domain, by name, shares of its own: of a small text that is the target of a search and never
    trained on, most or all can be measured.
    """

    search_fraction: float = Field(default=0.08, gt=0, lt=1)
    test_fraction: float = Field(default=0.08, gt=0, lt=1)
    per_domain: Mapping[str, DomainSplit] = Field(default={}, description="domain: its own shares")
    all_trained: bool = Field(
        default=False, description="nothing is held out: models are measured on another pool's text"
    )

    @model_validator(mode="after")
    def _train_remains(self) -> Self:
        if not self.search_fraction + self.test_fraction < 1:
            raise ValueError(f"{self.search_fraction} + {self.test_fraction} leave nothing to train on")
        if self.all_trained and self.per_domain:
            raise ValueError("all_trained holds nothing out, and per_domain says how much. Leave one out")
        return self

    def of(self, domain: str) -> DomainSplit:
        """Return the shares of a domain."""
        common = DomainSplit(search_fraction=self.search_fraction, test_fraction=self.test_fraction)
        return self.per_domain.get(domain, common)


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
    stands on one side, and no copy of what is measured is trained on. Where a side of a small domain would be empty
    by chance, the domain is shared out in the order of the same hashes, at least one duplicate cluster to each side.

    Raises:
        ConfigError: `per_domain` names a domain that does not exist.
    """
    if config.all_trained:
        return ["train" if domain >= 0 else "" for domain in domain_N]
    _require_known(config, names)
    shares = [config.of(name) for name in names]
    decisive: dict[str, int] = {}
    for duplicates, domain in zip(duplicate_clusters, domain_N, strict=True):
        if domain >= 0:
            other = decisive.setdefault(duplicates, domain)
            decisive[duplicates] = max(other, domain, key=lambda number: (shares[number].held_out, -number))
    sides = {duplicates: split_of(duplicates, shares[domain], seed) for duplicates, domain in decisive.items()}
    members: dict[int, list[str]] = {}
    for duplicates, domain in decisive.items():
        members.setdefault(domain, []).append(duplicates)
    for domain, own in members.items():
        wanted = SPLITS if shares[domain].held_out < 1 else SPLITS[1:]
        if len(wanted) <= len(own) < _FEW and not {sides[duplicates] for duplicates in own}.issuperset(wanted):
            sides |= _shared_out(own, shares[domain], seed)
    return [
        "" if domain < 0 else sides[duplicates] for duplicates, domain in zip(duplicate_clusters, domain_N, strict=True)
    ]


def _shared_out(duplicate_clusters: Sequence[str], fractions: DomainSplit, seed: int) -> dict[str, str]:
    """Return a side for each of a few duplicate clusters: the smallest hashes first, no side empty."""
    ordered = sorted(duplicate_clusters, key=lambda duplicates: seed_of(seed, "split", duplicates))
    search, test = (
        max(1, round(share * len(ordered))) for share in (fractions.search_fraction, fractions.test_fraction)
    )
    if fractions.held_out < 1:
        # What is trained on has one at least: the larger of the held-out sides gives it.
        while search + test >= len(ordered):
            search, test = (search - 1, test) if search > test else (search, test - 1)
    else:
        search = min(search, len(ordered) - 1)
        test = len(ordered) - search
    sides = ["search"] * search + ["test"] * test + ["train"] * (len(ordered) - search - test)
    return dict(zip(ordered, sides, strict=True))


def _require_known(config: Split, names: Sequence[str]) -> None:
    if strangers := [name for name in config.per_domain if name not in names]:
        raise ConfigError(
            f"cluster.split.per_domain: no domain is called {', '.join(strangers)}; there are: {', '.join(names)}. "
            "Name one of these."
        )
