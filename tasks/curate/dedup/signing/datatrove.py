"""MinHash as datatrove 0.10.1 takes it, the kind `datatrove`: English tokens of simplified text, values below 2^61 - 1.

Rule: datatrove, `pipeline/dedup/minhash.py` and `utils/text.py` (Apache-2.0). A value is the smallest
(a h + b mod 2^64) mod 2^61 - 1 over the XXH64 hashes h of the n-grams; a and b come from numpy's Mersenne Twister with
seed 1. The product wraps at 2^64 before the modulus is taken, there as here.

Not as there: a text mostly in scripts without blanks. There its English tokens are whole clauses, and two texts that differ
in a character of each share no n-gram; here every letter is a token (datatrove has other tokenizers for these languages).

Axes: D documents, S n-grams (shingles), P permutations.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import xxhash
from pydantic import Field

from tasks.core.scripts import letters_apart, mostly_unspaced
from tasks.curate.dedup.signing.signatures import Hashes, MinHash, NgramSets, Signatures
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts
from tasks.curate.statistics.words import running_total

_MERSENNE = (1 << 61) - 1
_SEED = 1
# N-grams permuted at a time by the fallback.
_BLOCK = 4_096

# What becomes a blank: of ASCII, all but letters, digits and blanks; the controls up to U+009F; and some marks. "１" is
# among them there, and so here.
_MARKS = "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
_BLANK_CODES = [code for code in range(160) if not chr(code).isalnum() or code >= 127]
_TO_BLANKS = {code: " " for code in [*_BLANK_CODES, *map(ord, _MARKS)] if chr(code) not in "\t\n "}
# Decimal digits of Unicode 15 to 17, which the corpus that finds numbers there knows whatever Python's own tables say.
_NEW_DIGITS = "".join(
    f"\\U{start:08x}-\\U{start + length - 1:08x}"
    for start, length in (
        *((0x10D40, 10), (0x116D0, 20), (0x11BF0, 10), (0x11DE0, 10), (0x11F50, 10), (0x16130, 10)),
        *((0x16D70, 10), (0x1CCF0, 10), (0x1E4F0, 10), (0x1E5F1, 10)),
    )
)
_NUMBER = re.compile(rf"[\d{_NEW_DIGITS}]+(?:[.,،٫⎖⎗⎘][\d{_NEW_DIGITS}]+)?")


class DatatroveMinHash(MinHash):
    """MinHash as datatrove 0.10.1: English tokens of simplified text, 61-bit values, every pair that meets is taken.

    A text mostly in scripts without blanks is taken letter by letter, where datatrove's English tokens are whole clauses.
    """

    kind: Literal["datatrove"] = "datatrove"
    verify: Literal["estimated", "exact"] | None = None
    min_jaccard: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of a signature's values."""
        return np.dtype(np.uint64)

    @property
    def fixed_seed(self) -> int:
        """The seed that datatrove has by default."""
        return _SEED


def simplify(text: str) -> str:
    """Return a text as n-grams are taken of it: lower case, numbers as 0, no punctuation, single blanks, no accents.

    >>> simplify("Café № 3.14, (twice)")
    'cafe № 0 twice'
    """
    return simplify_part(text).strip()


def simplify_part(text: str) -> str:
    """Return what a part of a text, between blanks of it, adds to the simplified text: words, each with a blank behind.

    Nothing looks across a blank, so that the simplified text is the parts together, stripped. Accents go last: a word
    of accents only leaves its blank.

    >>> simplify_part("(Café)"), simplify_part("--")
    ('cafe ', '')
    """
    words = _NUMBER.sub("0", text.lower()).translate(_TO_BLANKS).split()
    decomposed = unicodedata.normalize("NFD", "".join(word + " " for word in words))
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


def sign_datatrove(texts: Texts, *, ngram_words: int, num_permutations: int) -> Signatures:
    """Return the signature of every text, uint64 values below 2^61 - 1."""
    drawn = np.random.RandomState(_SEED)
    multipliers_P = drawn.randint(1, _MERSENNE, dtype=np.uint64, size=num_permutations)
    offsets_P = drawn.randint(0, _MERSENNE, dtype=np.uint64, size=num_permutations)
    native = kernel("minhash")
    if native is None:
        return _signed([ngram_hashes(text, ngram_words) for text in texts.to_list()], multipliers_P, offsets_P)
    values_DP, ngrams_D = np.zeros((len(texts), num_permutations), np.uint64), np.zeros(len(texts), np.int64)
    native.sign_datatrove(
        *(texts.data, texts.offsets, ngram_words, multipliers_P, offsets_P, simplify_part, values_DP, ngrams_D)
    )
    return Signatures(values_DP, ngrams_D)


def sets_datatrove(texts: Texts, *, ngram_words: int) -> NgramSets:
    """Return the set of n-gram hashes of every text."""
    native = kernel("minhash")
    if native is None:
        sets = [np.unique(ngram_hashes(text, ngram_words)) for text in texts.to_list()]
        sizes_D = np.array([len(one) for one in sets], np.int64)
        return NgramSets(np.concatenate([np.zeros(0, np.uint64), *sets]), running_total(sizes_D))
    sizes_D = np.zeros(len(texts), np.int64)
    found = native.sets_datatrove(texts.data, texts.offsets, ngram_words, simplify_part, sizes_D)
    return NgramSets(np.frombuffer(found, np.uint64), running_total(sizes_D))


def ngram_hashes(text: str, length: int) -> Hashes:
    """Return the XXH64 hash of every n-gram of a text, in order."""
    from tasks.curate.english.tokens import words

    simple = simplify(text)
    tokens = letters_apart(simple) if mostly_unspaced(simple) else words(simple)
    ngrams = (" ".join(tokens[first : first + length]) for first in range(len(tokens) - length + 1))
    return np.array([xxhash.xxh64_intdigest(ngram.encode()) for ngram in ngrams], np.uint64)


def _signed(hashes: Sequence[Hashes], multipliers_P: Hashes, offsets_P: Hashes) -> Signatures:
    values_DP = np.zeros((len(hashes), len(multipliers_P)), np.uint64)
    for row, hashes_S in enumerate(hashes):
        if len(hashes_S) == 0:
            continue
        values_DP[row] = _MERSENNE
        for start in range(0, len(hashes_S), _BLOCK):
            permuted = (hashes_S[start : start + _BLOCK, None] * multipliers_P + offsets_P) % np.uint64(_MERSENNE)
            np.minimum(values_DP[row], permuted.min(axis=0), out=values_DP[row])
    return Signatures(values_DP, np.array([len(one) for one in hashes], np.int64))
