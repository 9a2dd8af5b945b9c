"""Params of the cluster stage."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tasks.core.params import Params


class TfidfEmbedder(Params):
    """Word TF-IDF, then a truncated SVD: needs no model and no network.

    On 60,000 documents of 14 sources, 32, 64 and 128 dimensions, and a fit on 20,000 or 60,000 documents, gave domains
    that agree with the sources equally well within the spread over seeds; hence the cheaper defaults.
    """

    kind: Literal["tfidf"] = "tfidf"
    dimensions: PositiveInt | None = Field(
        default=None, description="null = 64, or in a small corpus half of its documents or terms"
    )
    max_terms: PositiveInt = 20_000
    min_term_documents: PositiveInt | None = Field(
        default=None, description="a term in fewer documents is left out; null = 5, below 1,000 documents 2"
    )
    max_term_share: float = Field(default=0.5, gt=0, le=1, description="a term in a larger share is left out")
    fit_documents: PositiveInt = Field(
        default=20_000, description="documents the terms and dimensions are learned from"
    )


class TransformerEmbedder(Params):
    """A sentence-transformers model, by folder or by name. Needs the extra `embeddings`."""

    kind: Literal["sentence_transformers"]
    model: str = Field(min_length=1, description="folder, or name on the hub")
    revision: str | None = Field(default=None, description="commit of a named model; null = its newest")


Embedder = Annotated[TfidfEmbedder | TransformerEmbedder, Field(discriminator="kind")]


class KMeans(Params):
    """K-means over all documents (Lloyd, k-means++ start).

    A mixture is made of tokens, so a document counts for its bytes by default. On 60,000 documents of 14 sources, 14
    domains made so share 0.74 of the information with the sources (normalised, in bytes, mean of 3 seeds); with every
    document counting alike 0.67, because clusters of many short documents then take the place of long ones.
    """

    num_clusters_initial: PositiveInt | None = Field(
        default=None, description="null = two thirds of the square root of the number of documents, 4 to 512"
    )
    max_iterations: PositiveInt = 100
    num_starts: PositiveInt = 1
    weight: Literal["bytes", "documents"] = Field(default="bytes", description="what a document counts for")


class QuantilePrune(Params):
    """Drop clusters whose mean quality lies below a quantile of the clusters' means."""

    kind: Literal["quantile"] = "quantile"
    quality_column: str = "quality"
    prune_quantile: float = Field(default=0.1, gt=0, lt=1)


class ThresholdPrune(Params):
    """Keep clusters whose mean reaches every minimum: the rule of CLIMB (arXiv 2504.13161), for those who have scorers.

    CLIMB's paper asks for 3.0 on a scale of 0 to 5; its published code for 2.0 (advertisement) and 1.0 (the others).
    """

    kind: Literal["thresholds"]
    minimum_means: Mapping[str, float] = Field(min_length=1, description="score column: smallest mean of a cluster")


Prune = Annotated[QuantilePrune | ThresholdPrune, Field(discriminator="kind")]


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


class FoundDomains(Params):
    """Domains found in the text: embed, k-means, prune, merge (CLIMB, arXiv 2504.13161)."""

    kind: Literal["clusters"] = "clusters"
    embedder: Embedder = TfidfEmbedder()
    kmeans: KMeans = KMeans()
    prune: Prune | None = Field(default=QuantilePrune(), description="null = off")
    merge: Merge = WardMerge()


class SourceDomains(Params):
    """Domains the user brings: every source is one, under its own name. Nothing is embedded, nothing pruned."""

    kind: Literal["source"]
    min_documents: PositiveInt | None = Field(
        default=None, description="a source with fewer is refused, never joined; null = a fiftieth of all, 3 to 100"
    )


Domains = Annotated[FoundDomains | SourceDomains, Field(discriminator="kind")]


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

    @model_validator(mode="after")
    def _train_remains(self) -> Self:
        if not self.search_fraction + self.test_fraction < 1:
            raise ValueError(f"{self.search_fraction} + {self.test_fraction} leave nothing to train on")
        return self

    def of(self, domain: str) -> DomainSplit:
        """Return the shares of a domain."""
        common = DomainSplit(search_fraction=self.search_fraction, test_fraction=self.test_fraction)
        return self.per_domain.get(domain, common)


class ClusterParams(Params):
    """Params of the cluster stage: where domains come from, and how they are split."""

    seed: int = 0
    max_chars: PositiveInt = Field(default=4_000, description="characters of a document that are looked at")
    domains: Domains = FoundDomains()
    split: Split = Split()
