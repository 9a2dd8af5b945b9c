"""Words and pairs of words counted by bucket, as DSIR hashes them (Xie et al. 2023, arXiv 2302.03169, appendix).

A text is read in lower case; a word is a run of word characters, or of other characters that are no blanks. The bucket of
a word, and of two neighbours with a blank between, is the SHA-256 of its UTF-8 as a number, modulo the number of buckets.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts, texts_of

_WORD = re.compile(r"\w+|[^\w\s]+")
# Buckets that the fallback remembers.
_REMEMBERED = 1 << 18


def bucket_counts(texts: Texts, num_buckets: int) -> NDArray[np.int64]:
    """Return how many words and pairs of all texts fall into each bucket, int64 [num_buckets]."""
    lower = _lower(texts)
    if (compiled := kernel("buckets")) is not None:
        return np.frombuffer(compiled.count(lower.data, lower.offsets, num_buckets), np.int64)
    counts = np.zeros(num_buckets, np.int64)
    for buckets in _buckets(lower, num_buckets):
        counts += np.bincount(buckets, minlength=num_buckets)
    return counts


def bucket_rows(texts: Texts, num_buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the buckets that each of N texts has, as the rows of a sparse matrix.

    Where the entries of each text end (int64 [N + 1], from 0), their buckets in ascending order, and how many words and
    pairs of the text fall into each (int64 [E] both).
    """
    lower = _lower(texts)
    if (compiled := kernel("buckets")) is not None:
        ends, buckets, counts = (
            np.frombuffer(one, np.int64) for one in compiled.rows(lower.data, lower.offsets, num_buckets)
        )
        return ends, buckets, counts
    found = [np.unique(buckets, return_counts=True) for buckets in _buckets(lower, num_buckets)]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in found)])
    none = np.zeros(0, np.int64)
    return ends, np.concatenate([none, *(one for one, _ in found)]), np.concatenate([none, *(one for _, one in found)])


def weight_sums(texts: Texts, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return, of each of N texts, the sum of the weights of its words and pairs (float64 [N]), and how many these are.

    `weights`: float64, one of each bucket.
    """
    lower = _lower(texts)
    sums, ngrams = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    if (compiled := kernel("buckets")) is not None:
        compiled.score(lower.data, lower.offsets, np.ascontiguousarray(weights, np.float64), sums, ngrams)
        return sums, ngrams
    for row, buckets in enumerate(_buckets(lower, len(weights))):
        ngrams[row] = len(buckets)
        # One after the other, as the kernel adds; NumPy's sum adds in pairs.
        sums[row] = np.cumsum(weights[buckets])[-1] if len(buckets) else 0.0
    return sums, ngrams


def _lower(texts: Texts) -> Texts:
    return texts_of(pa.array([text.lower() for text in texts.to_list()], pa.large_string()))


def _buckets(texts: Texts, num_buckets: int) -> Iterator[NDArray[np.int64]]:
    for text in texts.to_list():
        words, found = _WORD.findall(text), list[int]()
        for i, word in enumerate(words):
            found.append(_bucket(word, num_buckets))
            if i:
                found.append(_bucket(f"{words[i - 1]} {word}", num_buckets))
        yield np.array(found, np.int64)


@lru_cache(_REMEMBERED)
def _bucket(ngram: str, num_buckets: int) -> int:
    return int.from_bytes(sha256(ngram.encode()).digest()) % num_buckets
