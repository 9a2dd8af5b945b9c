"""What a reader wants to know of domains and clusters: names, words, examples, and where they lie on a map.

Axes: N documents, K clusters, D dimensions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.cluster.decide import DomainDecision, split_counts
from tasks.cluster.grouping import Clusters, Grouping, KeptDocuments
from tasks.cluster.names import discriminative_terms, document_counts, domain_labels, domain_names
from tasks.cluster.published.domains import ClusterMap, ClusterSummary, DomainExample, Domains, DomainSummary, Pruned
from tasks.core.rng import generator

_NAMED_FROM = 400
_EXAMPLES = 5
_EXCERPT_CHARS = 240


@dataclass(frozen=True)
class Readings:
    """Which documents have to be read: a sample per domain for its words, and some as examples."""

    sample: Sequence[npt.NDArray[np.int64]]
    examples: Sequence[npt.NDArray[np.int64]]

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """All of them, each once, in order."""
        return np.unique(np.concatenate([*self.sample, *self.examples]))


def readings(
    grouping: Grouping, documents: KeptDocuments, vectors_ND: npt.NDArray[np.float32] | None, seed: int
) -> Readings:
    """Choose the documents to read: up to 400 at random per domain, and 5 examples.

    The examples are the most typical documents where there are vectors, else the first of a random order.
    """
    members = [grouping.members(domain) for domain in range(grouping.num_domains)]
    sample = [
        np.sort(generator(seed, "names", domain).choice(own, min(_NAMED_FROM, len(own)), replace=False))
        for domain, own in enumerate(members)
    ]
    ordered = [
        generator(seed, "examples", domain).permutation(own) if vectors_ND is None else _typical_first(own, vectors_ND)
        for domain, own in enumerate(members)
    ]
    return Readings(sample, [_of_different_clusters(own, documents) for own in ordered])


def domain_terms(chosen: Readings, texts: Mapping[int, str]) -> list[list[str]]:
    """Return the words that tell each domain from the others; `texts` holds the beginnings of the chosen documents."""
    counts = [document_counts(texts[number] for number in own.tolist()) for own in chosen.sample]
    return discriminative_terms(counts, [len(own) for own in chosen.sample])


def names_of(grouping: Grouping, documents: KeptDocuments, terms: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the domains' names: their own, or made of their terms and sources."""
    if grouping.names is not None:
        return grouping.names
    sources = [_sources(documents, grouping.members(domain)) for domain in range(grouping.num_domains)]
    return tuple(domain_names(terms, sources))


def domain_summaries(
    documents: KeptDocuments,
    decision: DomainDecision,
    terms: Sequence[Sequence[str]],
    chosen: Readings,
    texts: Mapping[int, str],
) -> Domains:
    """Return what `domains.json` holds; `texts` are the beginnings of the chosen documents."""
    counts, members = split_counts(documents, decision), decision.grouping.members
    labels = decision.grouping.labels or domain_labels(decision.names, terms)
    return Domains(
        domains=tuple(
            DomainSummary(
                index=domain,
                name=name,
                label=labels[domain],
                documents=len(own := members(domain)),
                bytes=int(documents.bytes_N[own].sum()),
                means=_mean_scores(documents, own),
                sources=dict(sorted(_sources(documents, own).items())),
                splits=counts[domain],
                terms=tuple(terms[domain]),
                examples=tuple(
                    DomainExample(id=documents.ids[number], excerpt=_excerpt(texts[number]))
                    for number in chosen.examples[domain].tolist()
                ),
                kmeans_clusters=tuple(_clusters_of(decision.grouping, domain)),
            )
            for domain, name in enumerate(decision.names)
        )
    )


def cluster_map(documents: KeptDocuments, clusters: Clusters | None) -> ClusterMap:
    """Return what `clusters.json` holds: nothing where domains were not found but brought."""
    if clusters is None:
        return ClusterMap(clusters=())
    positions = _map(clusters.partition.centroids_KD)
    return ClusterMap(
        clusters=tuple(
            _cluster(documents, clusters, cluster, domain, (float(x), float(y)))
            for cluster, (domain, (x, y)) in enumerate(zip(clusters.domain_K.tolist(), positions, strict=True))
        )
    )


def _cluster(
    documents: KeptDocuments, clusters: Clusters, cluster: int, domain: int, position: tuple[float, float]
) -> ClusterSummary:
    own, reason = np.flatnonzero(clusters.partition.labels_N == cluster), clusters.pruned.get(cluster)
    return ClusterSummary(
        cluster=cluster,
        documents=len(own),
        bytes=int(documents.bytes_N[own].sum()),
        means={column: float(means[cluster]) for column, means in clusters.means_K.items()},
        domain=domain,
        pruned=Pruned(column=reason.column, mean=reason.mean, minimum=reason.minimum) if reason else None,
        position=position,
    )


def _sources(documents: KeptDocuments, own: npt.NDArray[np.int64]) -> Counter[str]:
    return Counter(documents.sources[number] for number in own.tolist())


def _clusters_of(grouping: Grouping, domain: int) -> list[int]:
    if grouping.clusters is None:
        return []
    if grouping.names is not None:
        # Buckets cut through clusters: those that have a document in it.
        inside: list[int] = np.unique(grouping.clusters.partition.labels_N[grouping.members(domain)]).tolist()
        return inside
    return np.flatnonzero(grouping.clusters.domain_K == domain).tolist()


def _mean_scores(documents: KeptDocuments, own: npt.NDArray[np.int64]) -> dict[str, float]:
    return {column: float(scores[own].mean()) for column, scores in sorted(documents.scores_N.items())}


def _typical_first(own: npt.NDArray[np.int64], vectors_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the documents of a domain, those nearest its centre first."""
    centre_D = vectors_ND[own].mean(axis=0)
    return own[np.argsort(np.linalg.norm(vectors_ND[own] - centre_D, axis=1), kind="stable")]


def _of_different_clusters(ordered: npt.NDArray[np.int64], documents: KeptDocuments) -> npt.NDArray[np.int64]:
    """Return the first documents, one per duplicate cluster."""
    chosen: dict[str, int] = {}
    for number in ordered.tolist():
        chosen.setdefault(documents.duplicate_clusters[number], number)
        if len(chosen) == _EXAMPLES:
            break
    return np.array(list(chosen.values()), dtype=np.int64)


def _excerpt(text: str) -> str:
    return " ".join(text.split())[:_EXCERPT_CHARS]


def _map(centroids_KD: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the first two principal components of the centroids, shape [K, 2], each axis with its largest part up."""
    centred_KD = centroids_KD - centroids_KD.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred_KD, full_matrices=False)
    positions = np.zeros((len(centroids_KD), 2))
    axes = min(2, len(scale))
    positions[:, :axes] = left[:, :axes] * scale[:axes]
    signs = np.sign(positions[np.abs(positions).argmax(axis=0), np.arange(2)])
    return np.round(positions * np.where(signs == 0, 1, signs), 6)
