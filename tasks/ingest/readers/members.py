"""A compressed file as its gzip members: each has a place of its own, and a damaged one does not cost the next.

WARC files are written so, one member per record. After damage the reader looks for the next place where a member
begins that holds a WARC record.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

from isal import isal_zlib

from tasks.ingest.readers.stream import EXPANSION_FLOOR, GZIP_ERROR

_PIECE = 1 << 16
_CONTENT = 1 << 20
_MAGIC = b"\x1f\x8b\x08"
_RECORD = b"WARC/"
# Enough compressed bytes to see whether a record begins there.
_PROBE = 512
# Compressed bytes of the current member that are held, to look for the next one among them after damage.
_MAX_HELD = 64 << 20


class MemberError(Exception):
    """The current member cannot be read further; `reason` is what its record is set aside for."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Members(Protocol):
    """A file as members: `begin` goes to the next and returns its offset, `read` gives its content piece by piece."""

    def begin(self) -> int | None:
        """Go to the next member; None at the end."""

    def read(self) -> bytes:
        """Return the next piece of the member's content; empty at its end."""


class WholeFile:
    """A file that is not compressed member by member: one member, from the first byte on."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._begun = blocks, False

    def begin(self) -> int | None:
        """Return 0, then None."""
        if self._begun:
            return None
        self._begun = True
        return 0

    def read(self) -> bytes:
        """Return the next block; empty at the end."""
        return next(self._blocks, b"")


class GzipMembers:
    """The members of a gzip file."""

    def __init__(self, blocks: Iterator[bytes], max_expansion: float | None) -> None:
        self._blocks, self._max_expansion = blocks, max_expansion
        # `_held` is a window of the file that begins at `_base`; the member began at `_start`, the next piece is at `_at`.
        self._held, self._base, self._start, self._at = b"", 0, 0, 0
        self._given, self._ended, self._damaged = 0, True, False
        self._engine: Any = None

    def begin(self) -> int | None:
        """Go to the next member and return its offset; None at the end. The current one must be read or damaged."""
        if not (self._found_again() if self._damaged else self._found()):
            return None
        self._start, self._given, self._ended, self._damaged = self._at, 0, False, False
        self._engine = isal_zlib.decompressobj(wbits=31)
        return self._base + self._start

    def read(self) -> bytes:
        """Return the next piece of the member's content; empty at its end.

        Raises:
            MemberError: the member is damaged, ends too early, or grows too much.
        """
        while not self._ended:
            try:
                content = self._engine.decompress(self._engine.unconsumed_tail or self._piece(), _CONTENT)
            except GZIP_ERROR as error:
                raise self._broken("damaged_record", f"the gzip member is damaged ({error})") from error
            if self._engine.eof:
                self._ended = True
                self._at -= len(self._engine.unused_data)
            self._given += len(content)
            limit = max(EXPANSION_FLOOR, (self._max_expansion or math.inf) * (self._at - self._start))
            if self._given > limit:
                detail = f"more than {limit:,.0f} bytes from {self._at - self._start:,} (ingest.max_expansion)"
                raise self._broken("decompression_bomb", detail)
            if content:
                return bytes(content)
        return b""

    def _broken(self, reason: str, detail: str) -> MemberError:
        self._damaged = self._ended = True
        return MemberError(reason, detail)

    def _piece(self) -> bytes:
        if self._at == len(self._held) and not self._loaded():
            raise self._broken("truncated_record", "the file ends inside this gzip member")
        piece = self._held[self._at : self._at + _PIECE]
        self._at += len(piece)
        return piece

    def _loaded(self) -> bool:
        """Take another block of the file into the window, which keeps the current member as far as it is allowed to."""
        block = next(self._blocks, b"")
        drop = max(self._start, len(self._held) - _MAX_HELD)
        self._held = self._held[drop:] + block
        self._base += drop
        self._start = max(0, self._start - drop)
        self._at -= drop
        return bool(block)

    def _found(self) -> bool:
        """Go behind the zero bytes that may follow a member; return whether there is anything left."""
        while True:
            self._start = self._at
            rest = self._held[self._at : self._at + _PIECE]
            if zeros := len(rest) - len(rest.lstrip(b"\0")):
                self._at += zeros
            elif rest:
                return True
            elif not self._loaded():
                return False

    def _found_again(self) -> bool:
        """Go to the next place behind the damaged member's beginning where a member begins that holds a record."""
        self._at = self._start + 1
        while True:
            place = self._held.find(_MAGIC, self._at)
            if place < 0:
                self._at = self._start = max(self._at, len(self._held) - len(_MAGIC) + 1)
                if not self._loaded():
                    return False
                continue
            self._at = self._start = place
            while len(self._held) - self._at < _PROBE and self._loaded():
                pass
            if _holds_record(self._held[self._at : self._at + _PROBE]):
                return True
            self._at += 1


def _holds_record(data: bytes) -> bool:
    try:
        content = isal_zlib.decompressobj(wbits=31).decompress(data, len(_RECORD))
    except GZIP_ERROR:
        return False
    return bool(content == _RECORD)
