"""Params of the cluster stage."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from tasks.cluster.buckets import Buckets
from tasks.cluster.kmeans import KMeans
from tasks.cluster.merge import Merge, WardMerge
from tasks.cluster.prune import Prune, QuantilePrune
from tasks.cluster.sources import SourceDomains
from tasks.cluster.split import Split
from tasks.cluster.taxonomy.config import TaxonomyDomains
from tasks.core.asking import Endpoint
from tasks.core.params import Params
from tasks.embedding.kinds import DEFAULT, Embedder


class FoundDomains(Params):
    """Domains found in the text: embed, k-means, prune, merge (CLIMB, arXiv 2504.13161).

    They are named by the words that tell them from each other, or by a language model: at an `endpoint`, or in a file of the
    `answers` that it gave before.
    """

    kind: Literal["clusters"] = "clusters"
    embedder: Embedder = DEFAULT
    kmeans: KMeans = KMeans()
    prune: Prune | None = Field(default=QuantilePrune(), description="null = off")
    merge: Merge = WardMerge()
    endpoint: Endpoint | None = Field(default=None, description="names the domains; null = they are named by words")
    answers: str | None = Field(default=None, description="a file of the answers of an endpoint, in its place")

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with where names come from."""
        if self.endpoint is not None and self.answers is not None:
            yield "name an endpoint to be asked, or a file of its answers; not both"


Domains = Annotated[FoundDomains | SourceDomains | TaxonomyDomains, Field(discriminator="kind")]


class ClusterParams(Params):
    """Params of the cluster stage: where domains come from, and how they are split."""

    seed: int = 0
    max_chars: PositiveInt = Field(default=4_000, description="characters of a document that are looked at")
    domains: Domains = FoundDomains()
    buckets: Buckets | None = Field(default=None, description="each of them cut by a score; null = as they are")
    split: Split = Split()
