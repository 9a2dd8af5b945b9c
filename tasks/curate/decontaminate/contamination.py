"""Which documents hold n-grams of a benchmark. Hashes find candidates; the words themselves decide.

Axes: M matches, a match being one place in one document where an entry of the index stands; H documents hit, once per
benchmark.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.curate.decontaminate.index import NgramIndex, ngram_hashes, word_hashes, words
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Contamination:
    """What was found, one row per document and benchmark, in the order of documents, then of benchmarks.

    `hits_H`: places of the document at which an n-gram of the benchmark stands. `first_H`: the entry found first.
    """

    documents_H: Ints
    benchmarks_H: Ints
    hits_H: Ints
    first_H: Ints


def contamination(texts: Texts, index: NgramIndex) -> Contamination:
    """Return, per document that holds an n-gram of a benchmark, how many and which comes first."""
    matches_M3 = matches(texts, index)
    documents, entries = matches_M3[:, 0], matches_M3[:, 2]
    benchmarks = index.benchmark_E[entries].astype(np.int64)
    pairs = documents * max(len(index.coverage), 1) + benchmarks
    _, first, hits = np.unique(pairs, return_index=True, return_counts=True)
    return Contamination(documents[first], benchmarks[first], hits.astype(np.int64), entries[first])


def matches(texts: Texts, index: NgramIndex) -> Ints:
    """Return every match, shape [M, 3]: document, word of the document at which it stands, entry; in that order."""
    compiled = kernel("ngrams")
    if compiled is None:
        return matches_in_python(texts, index)
    found = compiled.search(
        texts.data,
        np.ascontiguousarray(texts.offsets),
        index.text,
        *(np.ascontiguousarray(array) for array in (index.hashes_E, index.starts_E, index.ends_E, index.num_words_E)),
    )
    return np.frombuffer(found, np.int64).reshape(-1, 3)


def matches_in_python(texts: Texts, index: NgramIndex) -> Ints:
    """Return what `matches` does, without a kernel."""
    known: dict[str, int] = {}
    lengths = np.unique(index.num_words_E).tolist()
    found = [
        (document, *match)
        for document, text in _one_by_one(texts)
        for match in sorted(_found_in(words(text), index, lengths, known))
    ]
    return np.array(found, np.int64).reshape(-1, 3)


def _one_by_one(texts: Texts) -> Iterator[tuple[int, str]]:
    for document in range(len(texts)):
        (text,) = Texts(texts.data, texts.offsets[document : document + 2]).to_list()
        yield document, text


def _found_in(
    found: list[str], index: NgramIndex, lengths: list[int], known: dict[str, int]
) -> Iterator[tuple[int, int]]:
    hashes_W = word_hashes(found, known)
    for length in lengths:
        hashes = ngram_hashes(hashes_W, length)
        low = np.searchsorted(index.hashes_E, hashes, "left")
        high = np.searchsorted(index.hashes_E, hashes, "right")
        for place in np.flatnonzero(high > low).tolist():
            there = " ".join(found[place : place + length])
            for entry in range(int(low[place]), int(high[place])):
                if index.words(entry) == there:
                    yield place, entry
