"""How different the kept documents are from each other, over as many words of each selection.

Axes: N documents, B buckets.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.curate.published.documents import read_shard
from tasks.runtime.step import Step

_WORD = re.compile(r"\w+|[^\w\s]+")
_BUCKETS = 1 << 15


@dataclass(frozen=True)
class DiversityArgs:
    """The shards of kept documents, and how many words of them are looked at."""

    kept: tuple[Handle, ...]
    max_words: int


def diversity_of_kept(args: DiversityArgs, here: Here) -> UnitResult:
    """Tell the diversity of documents in the order of a hash of their ids, the last one cut."""
    tables = [read_shard(shard.local(), ["id", "text"]) for shard in args.kept]
    rows = [row for table in tables for row in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)]
    rows.sort(key=lambda row: seed_of(0, "diversity", row[0]))
    return UnitResult(summary=diversity(list(_words((text for _, text in rows), args.max_words))))


DIVERSITY = Step("leaderboard.diversity", "leaderboard: diversity", diversity_of_kept)


def _words(texts: Iterator[str], most: int) -> Iterator[list[str]]:
    for text in texts:
        words = _WORD.findall(text.lower())[:most]
        most -= len(words)
        if words:
            yield words
        if not most:
            return


def diversity(words_N: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the share of words and of pairs of words that are distinct (distinct-1 and -2 of Li et al. 2016), and distance.

    The distance is the mean over all pairs of documents of 1 - cosine of their counts of pairs of words, hashed into 32,768
    buckets: for unit vectors u that is 1 - (|sum u|^2 - N) / (N (N - 1)).

    >>> diversity([["a", "b", "a", "b"], ["a", "b", "a", "b"]])
    {'words': 8.0, 'distinct_words': 0.25, 'distinct_pairs': 0.3333333333333333, 'distance': 0.0}
    """
    words = [word for own in words_N for word in own]
    pairs_N = [list(pairwise(own)) for own in words_N]
    pairs = [pair for own in pairs_N for pair in own]
    sum_B, number = np.zeros(_BUCKETS), 0
    for own in pairs_N:
        if own:
            counts = Counter(crc32(f"{first} {second}".encode()) % _BUCKETS for first, second in own)
            values = np.array(list(counts.values()), np.float64)
            sum_B[list(counts)] += values / np.sqrt((values**2).sum())
            number += 1
    alike = (float((sum_B**2).sum()) - number) / (number * (number - 1)) if number > 1 else 1.0
    return {
        "words": float(len(words)),
        "distinct_words": len({*words}) / max(1, len(words)),
        "distinct_pairs": len({*pairs}) / max(1, len(pairs)),
        "distance": max(0.0, 1 - alike),
    }
