"""What all kinds of MinHash share: their params, the signature, its bands, and the sets of n-grams.

Axes: D documents, W words, S n-grams (shingles), P permutations, B bands.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.core.params import Params
from tasks.curate.native import kernel

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


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


class MinHash(Params):
    """MinHash with banding: two texts meet when all rows of at least one band agree (Broder 1997).

    With b bands of r rows, texts of Jaccard similarity s meet with probability 1 - (1 - s^r)^b (Leskovec et al.,
    Mining of Massive Datasets, chapter 3): 0.92 at 0.8 for 14 x 8. `verify` then asks pairs that meet for a similarity
    of at least `min_jaccard`: "estimated" by all b r values (standard error below 0.05 for 112 of them), or "exact",
    of the sets of n-grams of the two texts. None takes every pair that meets.
    """

    bands: Annotated[int, Field(ge=1, le=256)] = 14
    rows: Annotated[int, Field(ge=1, le=64)] = 8
    ngram_words: Annotated[int, Field(ge=1, le=64)] = 5
    verify: Literal["estimated", "exact"] | None = "estimated"
    min_jaccard: Annotated[float, Field(ge=0, le=1)] | None = 0.7

    @model_validator(mode="after")
    def _a_limit_for_what_is_verified(self) -> Self:
        if (self.verify is None) != (self.min_jaccard is None):
            raise ValueError(
                f"verify is {self.verify} and min_jaccard is {self.min_jaccard}: give both, or null for both."
            )
        return self

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of a signature's values."""
        raise NotImplementedError

    @property
    def fixed_seed(self) -> int | None:
        """The seed of the permutations where it is always the same; None: that of the run draws them."""
        return None

    @property
    def permutations(self) -> int:
        """How many values a signature has."""
        return self.bands * self.rows


@dataclass(frozen=True)
class Shape:
    """What decides a signature: MinHash without its limits, and the seed that draws the permutations."""

    minhash: MinHash
    seed: int

    def described(self) -> dict[str, Any]:
        """Return the same as JSON: two signatures compare only where these are equal."""
        values = self.minhash.model_dump(mode="json", include={"kind", "ngram_words", "bands", "rows"})
        return {**values, "seed": self.seed}


def shape_of(near: MinHash | None, seed: int) -> Shape | None:
    """Return what decides the signatures that these params ask for; their limits do not."""
    if near is None:
        return None
    limits = {"verify": None, "min_jaccard": None}
    return Shape(near.model_copy(update=limits), near.fixed_seed if near.fixed_seed is not None else seed)


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
