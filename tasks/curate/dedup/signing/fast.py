"""MinHash of words (Broder 1997), the kind `fast`: for text in any language.

Two texts agree in each value with a probability that is their Jaccard similarity, so that similar texts can be found,
and their similarity estimated, from a few hundred bytes each.

Axes: D documents, W words, S n-grams (shingles), P permutations.
"""

import string
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import xxhash

from tasks.core.rng import generator
from tasks.core.scripts import letters_apart
from tasks.curate.dedup.signing.signatures import MULTIPLIER, Hashes, Ints, MinHash, NgramSets, Signatures, mixed
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts
from tasks.curate.statistics.words import batches, lay_out, running_total

# ASCII punctuation and the typographic marks that stand beside a word (the last ones are Tibetan and Khmer); a word of
# nothing else is no word.
_MARKS = (
    string.punctuation + "“”‘’„‚«»‹›…–—•·¿¡、。「」（）『』【】〔〕《》〈〉・，．：；！？～\u0f0b\u0f0d\u0f0e\u17d4"
)
# Block of n-grams hashed at a time: stays in the second-level cache (256 KB).
_BLOCK = 32_768


class FastMinHash(MinHash):
    """Words in lower case without marks at their ends, 32-bit values: for text in any language.

    Words are those between blanks; in scripts without blanks (Chinese, Japanese, Thai, ...) every letter is one.
    """

    kind: Literal["fast"] = "fast"

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of a signature's values."""
        return np.dtype(np.uint32)


def sign_fast(texts: Texts, *, ngram_words: int, num_permutations: int, seed: int) -> Signatures:
    """Return the signature of every text, uint32 values.

    Words are those between whitespace, in lower case, without punctuation at their ends; in scripts without blanks every
    letter is one, so that texts which differ in a word share the n-grams around it. Permutation p of an n-gram's
    64-bit hash h is the upper half of a_p h + b_p mod 2^64 with a_p odd (Dietzfelbinger et al. 1997).
    """
    numbers = generator(seed, "curate", "minhash").integers(0, 2**64, size=(2, num_permutations), dtype=np.uint64)
    multipliers_P, offsets_P = numbers[0] | np.uint64(1), np.ascontiguousarray(numbers[1])
    native = kernel("minhash")
    if native is None:
        return _signed(texts.to_list(), ngram_words, multipliers_P, offsets_P)
    values_DP, ngrams_D = np.zeros((len(texts), num_permutations), np.uint32), np.zeros(len(texts), np.int64)
    native.sign_fast(
        *(texts.data, texts.offsets, ngram_words, multipliers_P, offsets_P),
        *(normal_word, xxhash.xxh3_64_intdigest, values_DP, ngrams_D),
    )
    return Signatures(values_DP, ngrams_D)


def sets_fast(texts: Texts, *, ngram_words: int) -> NgramSets:
    """Return the set of n-gram hashes of every text."""
    native = kernel("minhash")
    if native is None:
        hashes_S, num_D = _ngram_hashes(*_word_hashes(texts.to_list()), ngram_words)
        ends = running_total(num_D)
        sets = [np.unique(hashes_S[start:end]) for start, end in pairwise(ends)]
        sizes_D = np.array([len(one) for one in sets], np.int64)
        return NgramSets(np.concatenate([np.zeros(0, np.uint64), *sets]), running_total(sizes_D))
    sizes_D = np.zeros(len(texts), np.int64)
    found = native.sets_fast(*(texts.data, texts.offsets, ngram_words, normal_word, xxhash.xxh3_64_intdigest, sizes_D))
    return NgramSets(np.frombuffer(found, np.uint64), running_total(sizes_D))


def normal_word(word: str) -> str:
    """Return a word as it is compared; empty if it is of marks only.

    >>> normal_word("“Don't!”")
    "don't"
    """
    return word.lower().strip(_MARKS)


def _signed(texts: Sequence[str], ngram_words: int, multipliers_P: Hashes, offsets_P: Hashes) -> Signatures:
    hashes_S, num_D = _ngram_hashes(*_word_hashes(texts), ngram_words)
    signed_D = num_D > 0
    minima = np.empty((int(signed_D.sum()), len(multipliers_P)), np.uint32)
    starts_S = running_total(num_D[signed_D])
    for rows in batches(num_D[signed_D].tolist(), _BLOCK):
        part_S = hashes_S[starts_S[rows.start] : starts_S[rows.stop]]
        begins = starts_S[rows] - starts_S[rows.start]
        for p, permuted_S in enumerate(_permuted(part_S, multipliers_P, offsets_P)):
            minima[rows, p] = np.minimum.reduceat(permuted_S, begins) >> np.uint64(32)
    values_DP = np.zeros((len(texts), len(multipliers_P)), np.uint32)
    values_DP[signed_D] = minima
    return Signatures(values_DP, num_D)


def _permuted(hashes_S: Hashes, multipliers_P: Hashes, offsets_P: Hashes) -> Iterator[Hashes]:
    permuted_S = np.empty_like(hashes_S)
    for multiplier, offset in zip(multipliers_P, offsets_P, strict=True):
        np.multiply(hashes_S, multiplier, out=permuted_S)
        np.add(permuted_S, offset, out=permuted_S)
        yield permuted_S


def _word_hashes(texts: Sequence[str]) -> tuple[Hashes, Ints]:
    words = lay_out(texts, letters_apart)
    normal_V = [normal_word(word) for word in words.vocabulary_V]
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
        hashes_S = hashes_S * MULTIPLIER + hashes_W[first_S + k]
    return mixed(hashes_S), num_D
