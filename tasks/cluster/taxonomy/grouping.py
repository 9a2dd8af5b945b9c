"""Topics as domains. Axes: N documents, K topics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.cluster import defaults
from tasks.cluster.grouping import Grouping
from tasks.cluster.names import slug
from tasks.core.errors import EvidenceError
from tasks.core.handles import Handle, Tree


@dataclass(frozen=True)
class FoundTopics:
    """The topics of every shard, what they are, and how many documents make one a domain (None: by the corpus)."""

    topics: tuple[Handle, ...]
    learned: Tree
    min_documents: int | None


def by_topic(
    score_NK: NDArray[np.float64], names: Sequence[str], bytes_N: NDArray[np.int64], min_documents: int | None
) -> Grouping:
    """Return the domain of every document: its likeliest topic, of those that have enough documents.

    The smallest of the others is left out first, and its documents join what is likeliest for them next.

    Raises:
        EvidenceError: fewer than two topics have enough.
    """
    fewest = min_documents or defaults.min_documents(len(score_NK))
    left = list(range(len(names)))
    while True:
        topic_N = np.array(left)[score_NK[:, left].argmax(axis=1)]
        count_K = np.bincount(topic_N, minlength=len(names))
        smallest = min(left, key=lambda topic: (count_K[topic], topic))
        if count_K[smallest] >= fewest:
            break
        left.remove(smallest)
        if len(left) < 2:
            raise EvidenceError(
                f"cluster.domains: fewer than two topics have {fewest:,} documents. Lower cluster.domains.min_documents, or "
                "ask another model for topics."
            )
    bytes_K = np.bincount(topic_N, weights=bytes_N, minlength=len(names))
    ordered = sorted(left, key=lambda topic: (-bytes_K[topic], topic))
    number_K = np.full(len(names), -1, np.int32)
    number_K[ordered] = np.arange(len(ordered), dtype=np.int32)
    labels = tuple(names[topic] for topic in ordered)
    return Grouping(number_K[topic_N], len(ordered), names=_names(labels), labels=labels)


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return a name in ASCII for each topic, none twice."""
    found: list[str] = []
    for label in labels:
        base = slug(label) or "topic"
        candidates = [base, *(f"{base}-{number}" for number in range(2, len(labels) + 2))]
        found.append(next(name for name in candidates if name not in found))
    return tuple(found)
