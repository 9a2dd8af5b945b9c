"""Lines of a stream, none ever held beyond a limit: a longer one is skipped, and its place and length are told."""

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line without its newline. `data` is None where it is longer than the limit."""

    offset: int
    bytes: int
    data: builtins.bytes | None


class _OpenLine:
    """The line being read: it counts all bytes and holds them up to the limit."""

    def __init__(self, limit: int) -> None:
        self.offset, self.bytes = 0, 0
        self._limit, self._held = limit, bytearray()

    def extend(self, piece: bytes) -> None:
        """Add a piece of the line."""
        self.bytes += len(piece)
        if self.bytes <= self._limit:
            self._held += piece
        else:
            self._held = bytearray()

    def end(self) -> Line:
        """Return the line, and begin the next one after a newline."""
        line = Line(self.offset, self.bytes, bytes(self._held) if self.bytes <= self._limit else None)
        self.offset, self.bytes, self._held = self.offset + self.bytes + 1, 0, bytearray()
        return line


def lines(blocks: Iterable[bytes], max_bytes: int) -> Iterator[Line]:
    r"""Yield the lines of a stream, ended by `\n`; a last one without newline counts, an empty rest does not.

    >>> [(line.offset, line.bytes, line.data) for line in lines([b"a\nlo", b"ng\nc"], 3)]
    [(0, 1, b'a'), (2, 4, None), (7, 1, b'c')]
    """
    current = _OpenLine(max_bytes)
    for block in blocks:
        *ended, rest = block.split(b"\n")
        for piece in ended:
            current.extend(piece)
            yield current.end()
        current.extend(rest)
    if current.bytes:
        yield current.end()
