"""What a reader wants to know of domains and clusters: names, words, examples, and where they lie on a map.

Axes: N documents, K clusters, D dimensions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.cluster.decide import Decision, Documents, split_counts
from tasks.cluster.kmeans import Partition
from tasks.cluster.names import discriminative_terms, document_counts, domain_names
from tasks.core.rng import generator

_NAMED_FROM = 400
_EXAMPLES = 5
_EXCERPT_CHARS = 240


@dataclass(frozen=True)
class Readings:
    """Which documents have to be read: a sample per domain for its words, those nearest its centre as examples."""

    sample: Sequence[npt.NDArray[np.int64]]
    examples: Sequence[npt.NDArray[np.int64]]

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """All of them, each once, in order."""
        return np.unique(np.concatenate([*self.sample, *self.examples]))


def readings(decision: Decision, vectors_ND: npt.NDArray[np.float32], documents: Documents, seed: int) -> Readings:
    """Choose the documents to read: up to 400 at random and the 5 most typical per domain."""
    members = [np.flatnonzero(decision.domain_N == domain) for domain in range(decision.num_domains)]
    sample = [
        np.sort(generator(seed, "names", domain).choice(own, min(_NAMED_FROM, len(own)), replace=False))
        for domain, own in enumerate(members)
    ]
    return Readings(sample, [_typical(own, vectors_ND, documents) for own in members])


def domain_records(
    documents: Documents, partition: Partition, decision: Decision, chosen: Readings, texts: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return the entries of `domains.json`; `texts` holds the beginnings of the chosen documents."""
    counts = [document_counts(texts[number] for number in own.tolist()) for own in chosen.sample]
    terms = discriminative_terms(counts, [len(own) for own in chosen.sample])
    members = [np.flatnonzero(decision.domain_N == domain) for domain in range(decision.num_domains)]
    sources = [Counter(documents.sources[number] for number in own.tolist()) for own in members]
    names = domain_names(terms, sources)
    return [
        {
            "index": domain,
            "name": names[domain],
            "documents": len(own),
            "bytes": int(documents.bytes_N[own].sum()),
            **_mean_scores(documents, own),
            "sources": dict(sorted(sources[domain].items())),
            "splits": {split: vars(amount) for split, amount in split_counts(documents, decision)[domain].items()},
            "terms": terms[domain],
            "examples": [
                {"id": documents.ids[number], "excerpt": _excerpt(texts[number])}
                for number in chosen.examples[domain].tolist()
            ],
            "kmeans_clusters": np.flatnonzero(decision.domain_K == domain).tolist(),
        }
        for domain, own in enumerate(members)
    ]


def cluster_records(documents: Documents, partition: Partition, decision: Decision) -> list[dict[str, Any]]:
    """Return the entries of `clusters.json`: size, mean scores, domain or why it was pruned, and place on the map."""
    positions = _map(partition.centroids_KD)
    records = []
    for cluster, domain in enumerate(decision.domain_K.tolist()):
        own = np.flatnonzero(partition.labels_N == cluster)
        reason = decision.pruned.get(cluster)
        records.append(
            {
                "cluster": cluster,
                "documents": len(own),
                "bytes": int(documents.bytes_N[own].sum()),
                "means": {column: float(means[cluster]) for column, means in decision.means_K.items()},
                "domain": domain,
                "pruned": vars(reason) if reason else None,
                "position": positions[cluster].tolist(),
            }
        )
    return records


def _mean_scores(documents: Documents, own: npt.NDArray[np.int64]) -> dict[str, float]:
    return {column: float(scores[own].mean()) for column, scores in sorted(documents.scores_N.items())}


def _typical(
    own: npt.NDArray[np.int64], vectors_ND: npt.NDArray[np.float32], documents: Documents
) -> npt.NDArray[np.int64]:
    """Return the documents nearest the centre, one per duplicate cluster."""
    centre_D = vectors_ND[own].mean(axis=0)
    chosen: dict[str, int] = {}
    for number in own[np.argsort(np.linalg.norm(vectors_ND[own] - centre_D, axis=1), kind="stable")].tolist():
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
