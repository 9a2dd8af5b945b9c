"""The domains (`domains.json`), and the clusters they were found in (`clusters.json`)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from tasks.core.account import Count
from tasks.core.published import Model, Published


class DomainExample(Model):
    """The beginning of a document."""

    id: str
    excerpt: str


class DomainSummary(Model):
    """A domain: sizes over all splits, mean scores by column, documents by source, documents and bytes by split.

    `terms` are the words that tell it from the others; `kmeans_clusters` are those it was merged from (none: brought).
    """

    index: int
    name: str
    label: str
    documents: int
    bytes: int
    means: Mapping[str, float]
    sources: Mapping[str, int]
    splits: Mapping[str, Count]
    terms: tuple[str, ...]
    examples: tuple[DomainExample, ...]
    kmeans_clusters: tuple[int, ...]


class Domains(Published):
    """The domains in the order of their index: the largest first."""

    FILE: ClassVar[str] = "domains.json"
    format: Literal[2] = 2
    domains: tuple[DomainSummary, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the domains, in their order."""
        return tuple(domain.name for domain in self.domains)


class Pruned(Model):
    """Why a cluster was pruned: its mean of a column, and what the mean had to reach."""

    column: str
    mean: float
    minimum: float


class ClusterSummary(Model):
    """A cluster of k-means: its size, mean scores, domain (-1: pruned), and place on the map."""

    cluster: int
    documents: int
    bytes: int
    means: Mapping[str, float]
    domain: int
    pruned: Pruned | None
    position: tuple[float, float]


class ClusterMap(Published):
    """All clusters; empty where domains were not found but brought."""

    FILE: ClassVar[str] = "clusters.json"
    format: Literal[2] = 2
    clusters: tuple[ClusterSummary, ...]
