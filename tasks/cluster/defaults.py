"""Sizes that follow the corpus, for whoever leaves them open in the params. Pure functions of counts.

The rules of thumb reproduce what was tuned on corpora of 5,000 and 26,000 kept documents (48 and 96 clusters, 7 and 14
domains), and go down to what a few dozen documents can carry.
"""

from math import sqrt


def num_clusters(documents: int) -> int:
    """Return how many clusters k-means looks for: enough for the merge to choose from, two documents each at least.

    >>> [num_clusters(documents) for documents in (4, 30, 5_000, 26_000, 10_000_000)]
    [2, 4, 47, 107, 512]
    """
    return min(max(4, round(2 / 3 * sqrt(documents))), 512, max(1, documents // 2))


def num_domains(documents: int) -> int:
    """Return how many domains are asked for, at most: fewer than 3 leave little to mix, more than 16 much to search.

    >>> [num_domains(documents) for documents in (30, 5_000, 26_000)]
    [3, 7, 16]
    """
    return min(max(3, round(sqrt(documents) / 10)), 16)


def min_documents(documents: int) -> int:
    """Return how many documents make a domain at least: one for each side of the split, and some room at scale.

    >>> [min_documents(documents) for documents in (30, 1_000, 5_000)]
    [3, 20, 100]
    """
    return min(max(3, documents // 50), 100)
