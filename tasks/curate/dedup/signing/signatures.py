"""What both kinds of MinHash share: the signature, its bands and the sets of n-grams, and the choice of a kind.

Axes: D documents, W words, S n-grams (shingles), P permutations, B bands.
"""

from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Kind = Literal["fast", "datatrove"]


@dataclass(frozen=True)
class Signatures:
    """`values_DP` uint32 (fast) or uint64 (datatrove); `ngrams_D`: how many n-grams a text has.

    A text without n-grams has no signature: its values are 0 and compare with nothing.
    """

    values_DP: NDArray[Any]
    ngrams_D: Ints


@dataclass(frozen=True)
class NgramSets:
    """Sets of n-gram hashes: those of document d, ascending, are `hashes[starts[d]:starts[d + 1]]`."""

    hashes: Hashes
    starts: Ints


@dataclass(frozen=True)
class Shape:
    """What decides a signature. `seed` draws the permutations of the kind fast; datatrove's are fixed."""

    kind: Kind
    ngram_words: int
    bands: int
    rows: int
    seed: int

    @property
    def permutations(self) -> int:
        """How many values a signature has."""
        return self.bands * self.rows

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of a signature's values."""
        return np.dtype(np.uint32 if self.kind == "fast" else np.uint64)


def sign(texts: Texts, shape: Shape) -> Signatures:
    """Return the signature of every text."""
    match shape.kind:
        case "fast":
            from tasks.curate.dedup.signing.fast import sign_fast

            return sign_fast(texts, ngram_words=shape.ngram_words, num_permutations=shape.permutations, seed=shape.seed)
        case "datatrove":
            from tasks.curate.dedup.signing.datatrove import sign_datatrove

            return sign_datatrove(texts, ngram_words=shape.ngram_words, num_permutations=shape.permutations)
        case _ as other:
            assert_never(other)


def ngram_sets(texts: Texts, kind: Kind, ngram_words: int) -> NgramSets:
    """Return the set of 64-bit hashes of every text's n-grams, as its signature is made of."""
    match kind:
        case "fast":
            from tasks.curate.dedup.signing.fast import sets_fast

            return sets_fast(texts, ngram_words=ngram_words)
        case "datatrove":
            from tasks.curate.dedup.signing.datatrove import sets_datatrove

            return sets_datatrove(texts, ngram_words=ngram_words)
        case _ as other:
            assert_never(other)


def band_keys(signatures: Signatures, bands: int) -> Hashes:
    """Return a 64-bit hash of the rows of every band, uint64 [B, D]: equal rows have equal keys.

    Different rows may have equal keys (one pair in 2^64); whoever groups by keys compares the rows.
    """
    documents, permutations = signatures.values_DP.shape
    values = signatures.values_DP.astype(np.uint64).reshape(documents, bands, permutations // bands)
    keys_DB = np.full(values.shape[:2], _SEED, np.uint64)
    for row in range(values.shape[2]):
        keys_DB = mixed((keys_DB ^ values[:, :, row]) * MULTIPLIER)
    return np.ascontiguousarray(keys_DB.T)


def estimated_jaccard(one_P: NDArray[Any], others_NP: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of equal values: the estimate of Jaccard similarity, standard error sqrt(s (1 - s) / P)."""
    return np.asarray((others_NP == one_P).mean(axis=-1), np.float64)


def exact_jaccard(one: Hashes, other: Hashes) -> float:
    """Return the Jaccard similarity of two sets of hashes, both ascending; 0 if both are empty.

    >>> exact_jaccard(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
    0.5
    """
    native = kernel("minhash")
    if native is not None:
        shared = int(native.intersection(one, other))
    else:
        shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(len(one) + len(other) - shared, 1)


# Odd, so that a multiplication loses nothing modulo 2^64 (splitmix64's constants: Steele, Lea and Flood 2014).
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SEED = np.uint64(0x243F6A8885A308D3)


def mixed(hashes: Hashes) -> Hashes:
    """Return splitmix64's finalisation of every hash: a bijection that spreads them."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    return hashes ^ (hashes >> np.uint64(31))
