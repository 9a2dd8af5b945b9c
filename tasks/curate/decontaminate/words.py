"""Words as decontamination compares them, and the hashes that find candidates.

Normalisation: what is alphanumeric to Unicode (str.isalnum) is kept, in lower case character by character; everything
else is a blank; a Chinese character or Japanese kana is a word of its own. Words of scripts that write without blanks
otherwise (Thai, Khmer, ...) run from one punctuation mark to the next, and are seldom found.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Kana, Chinese characters with their extensions and compatibility forms (blocks of Unicode 16).
SINGLE_WORDS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bit (RFC 9923)
BASE = 0x9E3779B97F4A7C15  # odd, so that no word of an n-gram loses bits
_MASK = (1 << 64) - 1


class _Fold(dict[int, str]):
    """What every character becomes; found out when it is first met."""

    def __missing__(self, point: int) -> str:
        self[point] = _folded(chr(point), point)
        return self[point]


def _folded(character: str, point: int) -> str:
    if not character.isalnum():
        return " "
    # İ is two characters in lower case; the first is the letter.
    lower = character.lower()[0]
    return f" {lower} " if any(first <= point <= last for first, last in SINGLE_WORDS) else lower


_FOLD = _Fold()


def words(text: str) -> list[str]:
    """Return the words of a text.

    >>> words("Don't PANIC: 42 部屋")
    ['don', 't', 'panic', '42', '部', '屋']
    """
    return text.translate(_FOLD).split()


def word_hash(word: str) -> int:
    """Return the FNV-1a hash of a word's UTF-8 bytes."""
    state = FNV_OFFSET
    for byte in word.encode():
        state = (state ^ byte) * FNV_PRIME & _MASK
    return state


def word_hashes(found: Sequence[str], known: dict[str, int]) -> Hashes:
    """Return the hash of every word; `known` remembers those of words met before."""
    for word in found:
        if word not in known:
            known[word] = word_hash(word)
    return np.fromiter(map(known.__getitem__, found), np.uint64, len(found))


def ngram_hashes(hashes_W: Hashes, length: int) -> Hashes:
    """Return the hash of the n-gram at each word: sum of word hash j times BASE^(length - 1 - j), modulo 2^64."""
    count = len(hashes_W) - length + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    total = np.zeros(count, np.uint64)
    for j in range(length):
        total = total * np.uint64(BASE) + hashes_W[j : j + count]
    return total
