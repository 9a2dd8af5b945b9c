"""Repeated n-grams of words, exactly: no hash can collide, and only what can still repeat is looked at.

An n-gram can occur twice only if both (n-1)-grams in it do. So each length starts from the repeated n-grams of the
length before, which in prose become few very soon.

Axes: W words, P positions where a repeated n-gram starts (ascending), G distinct repeated n-grams, D documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.curate.statistics.words import Ints, Words, running_total

TOP_LENGTHS = (2, 3, 4)
DUPLICATE_LENGTHS = (5, 6, 7, 8, 9, 10)


@dataclass(frozen=True)
class Repeats:
    """The n-grams that occur at least twice in their document: where they start, and which is which."""

    length: int
    positions_P: Ints
    groups_P: Ints

    def firsts(self) -> Ints:
        """Return, per distinct n-gram, the index in P of its first occurrence."""
        first_G = np.zeros(self.groups_P.max(initial=-1) + 1, np.int64)
        # Of several values for one place the last one stays: backwards, so the first occurrence does.
        first_G[self.groups_P[::-1]] = np.arange(len(self.groups_P))[::-1]
        return first_G


def ngram_counts(words: Words) -> dict[str, Ints]:
    """Return two kinds of counts per document, both of characters of its words (whitespace counts nowhere).

    `top_<n>_gram_chars` (n = 2..4): characters of the words covered by occurrences of the most frequent n-gram. Only an
    n-gram that occurs twice or more counts; among equally frequent ones that with most characters, then the first, is
    taken. `duplicate_<n>_gram_chars` (n = 5..10): characters of the words covered by n-grams that occurred before in
    the document. Either way a word that several occurrences cover is counted once, as the paper asks for (Rae et al.
    2021, appendix A1.1).
    """
    document_W = words.word_documents()
    before_W = running_total(words.word_chars())
    columns = {}
    for repeats in repeated_ngrams(words, document_W, DUPLICATE_LENGTHS[-1]):
        top = repeats.length in TOP_LENGTHS
        chosen_P = _top(repeats, document_W, before_W) if top else _again(repeats)
        covered_D = _covered(repeats.positions_P[chosen_P], repeats.length, document_W, before_W, len(words.starts) - 1)
        columns[f"{'top' if top else 'duplicate'}_{repeats.length}_gram_chars"] = covered_D
    return columns


def all_repeated_counts(words: Words) -> dict[str, Ints]:
    """Return the counts that DCLM takes: every occurrence of a repeated n-gram counts, the first one too.

    `top_<n>_gram_chars` (n = 2..4): characters of the longest among the most frequent n-grams times its occurrences,
    also where they overlap. `repeated_<n>_gram_chars` (n = 5..10): characters of the words that n-grams which occur
    twice or more cover, each word once.
    """
    document_W = words.word_documents()
    before_W = running_total(words.word_chars())
    columns = {}
    for repeats in repeated_ngrams(words, document_W, DUPLICATE_LENGTHS[-1]):
        positions_P, n, num_documents = repeats.positions_P, repeats.length, len(words.starts) - 1
        if n in TOP_LENGTHS:
            top_P = positions_P[_top(repeats, document_W, before_W)]
            chars_P = before_W[top_P + n] - before_W[top_P]
            columns[f"top_{n}_gram_chars"] = _sums(document_W[top_P], chars_P, num_documents)
        else:
            columns[f"repeated_{n}_gram_chars"] = _covered(positions_P, n, document_W, before_W, num_documents)
    return columns


def repeated_ngrams(words: Words, document_W: Ints, longest: int) -> Iterator[Repeats]:
    """Yield the repeated n-grams of 2, 3, ... `longest` words; a document never shares one with another."""
    every = np.arange(len(words.ids_W))
    positions, groups = _repeated(every, document_W * max(len(words.vocabulary_V), 1) + words.ids_W)
    for length in range(2, longest + 1):
        here, following = positions[:-1], positions[1:]
        # A pair across two documents stands at one place only, and so is never a repeated one.
        joined = following == here + 1
        # Both halves are ranks below W, so the pair fits an int64 for any batch that fits in memory.
        pairs = groups[:-1][joined] * (groups.max(initial=0) + 1) + groups[1:][joined]
        positions, groups = _repeated(here[joined], pairs)
        yield Repeats(length, positions, groups)


def _repeated(positions: Ints, keys: Ints) -> tuple[Ints, Ints]:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    often = counts > 1
    keep = often[inverse]
    return positions[keep], (np.cumsum(often) - 1)[inverse[keep]]


def _again(repeats: Repeats) -> Ints:
    again = np.ones(len(repeats.positions_P), np.bool_)
    again[repeats.firsts()] = False
    return np.flatnonzero(again)


def _top(repeats: Repeats, document_W: Ints, before_W: Ints) -> Ints:
    first_G = repeats.positions_P[repeats.firsts()]
    counts_G = np.bincount(repeats.groups_P, minlength=len(first_G))
    chars_G = before_W[first_G + repeats.length] - before_W[first_G]
    document_G = document_W[first_G]
    order = np.lexsort((first_G, -chars_G, -counts_G, document_G))
    best = np.ones(len(order), np.bool_)
    best[1:] = document_G[order][1:] != document_G[order][:-1]
    is_top_G = np.zeros(len(first_G), np.bool_)
    is_top_G[order[best]] = True
    return np.flatnonzero(is_top_G[repeats.groups_P])


def _covered(positions_P: Ints, length: int, document_W: Ints, before_W: Ints, num_documents: int) -> Ints:
    ends_P = positions_P + length
    starts_P = positions_P.copy()
    starts_P[1:] = np.maximum(positions_P[1:], ends_P[:-1])
    covered_P = before_W[ends_P] - before_W[starts_P]
    return _sums(document_W[positions_P], covered_P, num_documents)


def _sums(document_P: Ints, values_P: Ints, num_documents: int) -> Ints:
    # Weights are whole numbers below 2^53, so their sums are exact in any order.
    return np.bincount(document_P, values_P, num_documents).astype(np.int64)
