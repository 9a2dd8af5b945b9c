"""Paragraphs and lines as pieces of a text: where they stand, what is equal, and a text without some of them.

Lines are parted by line feeds, paragraphs by blank lines; what parts a piece from the next one belongs to it. Pieces are
compared in lower case with blanks collapsed, by 128-bit hashes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, assert_never

import numpy as np
import xxhash
from numpy.typing import NDArray

Level = Literal["paragraphs", "lines"]
# Bytes of a text: where a piece begins, and where the next one does.
Span = tuple[int, int]

_LINE_ENDS = re.compile(rb"\n")
_PARAGRAPH_ENDS = re.compile(rb"\n(?:[ \t\r\f\v]*\n)+")


def pieces(text: bytes, level: Level) -> Iterator[tuple[Span, str]]:
    r"""Yield the pieces of a UTF-8 text that are not blank: (span, what is compared).

    >>> list(pieces(b"One  two\nThree\n\nFour", "paragraphs"))
    [((0, 16), 'one two three'), ((16, 20), 'four')]
    """
    begin = 0
    for end in (*(match.end() for match in _ends(level).finditer(text)), len(text)):
        if normal := normalised(text[begin:end].decode()):
            yield (begin, end), normal
        begin = end


def normalised(piece: str) -> str:
    r"""Return a piece as it is compared.

    >>> normalised("  Read\tMORE ")
    'read more'
    """
    return " ".join(piece.lower().split())


def piece_hash(normal: str) -> bytes:
    """Return the hash of a piece: 16 bytes, whose order is that of the numbers they spell."""
    return xxhash.xxh3_128_digest(normal.encode())


def without(text: bytes, spans: Iterable[Span]) -> bytes:
    r"""Return a text without some spans of it, given in ascending order, none within another.

    >>> without(b"One\nTwo\nThree", [(4, 8)])
    b'One\nThree'

    Raises:
        ValueError: a span begins before the one before it ends, or ends behind the text.
    """
    kept, at = [], 0
    for begin, end in spans:
        if not at <= begin <= end <= len(text):
            raise ValueError(f"the span {begin} to {end} overlaps another or leaves the text of {len(text)} bytes")
        kept.append(text[at:begin])
        at = end
    return b"".join([*kept, text[at:]])


def outside(spans_N2: NDArray[np.int64], cut_M2: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which spans of a text touch none of those that are cut already; both ascend and do not overlap."""
    first_behind = np.searchsorted(cut_M2[:, 1], spans_N2[:, 0], "right")
    begins = np.append(cut_M2[:, 0], np.iinfo(np.int64).max)
    return np.asarray(begins[first_behind] >= spans_N2[:, 1], np.bool_)


def _ends(level: Level) -> "re.Pattern[bytes]":
    match level:
        case "lines":
            return _LINE_ENDS
        case "paragraphs":
            return _PARAGRAPH_ENDS
        case _ as other:
            assert_never(other)
