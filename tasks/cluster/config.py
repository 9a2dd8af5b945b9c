"""Params of the cluster stage."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from tasks.cluster.buckets import Buckets
from tasks.cluster.kmeans import KMeans
from tasks.cluster.merge import Merge, WardMerge
from tasks.cluster.prune import Prune, QuantilePrune
from tasks.cluster.sources import SourceDomains
from tasks.cluster.split import Split
from tasks.cluster.taxonomy.config import TaxonomyDomains
from tasks.core.params import Params
from tasks.embedding.kinds import DEFAULT, Embedder


class FoundDomains(Params):
    """Domains found in the text: embed, k-means, prune, merge (CLIMB, arXiv 2504.13161)."""

    kind: Literal["clusters"] = "clusters"
    embedder: Embedder = DEFAULT
    kmeans: KMeans = KMeans()
    prune: Prune | None = Field(default=QuantilePrune(), description="null = off")
    merge: Merge = WardMerge()


Domains = Annotated[FoundDomains | SourceDomains | TaxonomyDomains, Field(discriminator="kind")]


class ClusterParams(Params):
    """Params of the cluster stage: where domains come from, and how they are split."""

    seed: int = 0
    max_chars: PositiveInt = Field(default=4_000, description="characters of a document that are looked at")
    domains: Domains = FoundDomains()
    buckets: Buckets | None = Field(default=None, description="each of them cut by a score; null = as they are")
    split: Split = Split()
