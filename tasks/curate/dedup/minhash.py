"""MinHash signatures of word n-grams (Broder 1997).

Two texts agree in each value with a probability that is their Jaccard similarity, so that similar texts can be found,
and their similarity estimated, from a few hundred bytes each.

Axes: D documents, W words, S n-grams (shingles), P permutations.
"""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from tasks.core.rng import generator
from tasks.curate.statistics.words import Ints, batches, lay_out, running_total

Hashes = NDArray[np.uint64]

# ASCII punctuation and the typographic marks that stand beside a word; a word of nothing else is no word.
_MARKS = string.punctuation + "“”‘’„‚«»‹›…–—•·¿¡、。「」（）"
# Odd, so that a multiplication loses nothing modulo 2^64 (splitmix64's constants: Steele, Lea and Flood 2014).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Block of n-grams hashed at a time: stays in the second-level cache (256 KB).
_BLOCK = 32_768


@dataclass(frozen=True)
class Signatures:
    """`values_DP` uint32; `comparable_D` is False for a text with fewer words than one n-gram: its values are 0."""

    values_DP: NDArray[np.uint32]
    comparable_D: NDArray[np.bool_]


def sign(texts: Sequence[str], *, ngram_words: int, num_permutations: int, seed: int) -> Signatures:
    """Return the signature of every text.

    Words are those between whitespace, in lower case, without punctuation at their ends. Permutation p of an n-gram's
    64-bit hash h is the upper half of a_p h + b_p mod 2^64 with a_p odd (Dietzfelbinger et al. 1997).
    """
    numbers = generator(seed, "curate", "minhash").integers(0, 2**64, size=(2, num_permutations), dtype=np.uint64)
    multipliers_P, offsets_P = numbers[0] | np.uint64(1), numbers[1]
    hashes_W, starts = _word_hashes(texts)
    ngrams_S, num_D = _ngram_hashes(hashes_W, starts, ngram_words)
    comparable_D = num_D > 0
    minima = np.empty((int(comparable_D.sum()), num_permutations), np.uint32)
    starts_S = running_total(num_D[comparable_D])
    for rows in batches(num_D[comparable_D].tolist(), _BLOCK):
        part_S = ngrams_S[starts_S[rows.start] : starts_S[rows.stop]]
        begins = starts_S[rows] - starts_S[rows.start]
        for p, permuted_S in enumerate(_permuted(part_S, multipliers_P, offsets_P)):
            minima[rows, p] = np.minimum.reduceat(permuted_S, begins) >> np.uint64(32)
    values_DP = np.zeros((len(texts), num_permutations), np.uint32)
    values_DP[comparable_D] = minima
    return Signatures(values_DP, comparable_D)


def estimated_jaccard(one_P: NDArray[np.uint32], others_NP: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the share of equal values: the estimate of Jaccard similarity, standard error sqrt(s (1 - s) / P)."""
    return np.asarray((others_NP == one_P).mean(axis=-1), np.float64)


def _permuted(ngrams_S: Hashes, multipliers_P: Hashes, offsets_P: Hashes) -> Iterator[Hashes]:
    permuted_S = np.empty_like(ngrams_S)
    for multiplier, offset in zip(multipliers_P, offsets_P, strict=True):
        np.multiply(ngrams_S, multiplier, out=permuted_S)
        np.add(permuted_S, offset, out=permuted_S)
        yield permuted_S


def _word_hashes(texts: Sequence[str]) -> tuple[Hashes, Ints]:
    words = lay_out(texts)
    normal_V = [word.lower().strip(_MARKS) for word in words.vocabulary_V]
    hashes_V = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in normal_V], np.uint64)
    is_word_W = np.array([word != "" for word in normal_V], np.bool_)[words.ids_W]
    return hashes_V[words.ids_W[is_word_W]], running_total(words.document_sums(is_word_W.astype(np.int64)))


def _ngram_hashes(hashes_W: Hashes, starts: Ints, length: int) -> tuple[Hashes, Ints]:
    num_words_D = np.diff(starts)
    num_D = np.maximum(num_words_D - length + 1, 0)
    # The last words of a document start no n-gram: take the first num_D words of each.
    within = np.arange(num_D.sum()) - np.repeat(running_total(num_D)[:-1], num_D)
    first_S = np.repeat(starts[:-1], num_D) + within
    hashes_S = np.zeros(len(first_S), np.uint64)
    for k in range(length):
        hashes_S = hashes_S * _MULTIPLIER + hashes_W[first_S + k]
    return _mixed(hashes_S), num_D


def _mixed(hashes: Hashes) -> Hashes:
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    return hashes ^ (hashes >> np.uint64(31))
