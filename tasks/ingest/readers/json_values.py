"""JSON objects one after another, over as many lines as they like, in a list or not: `.json` as exports write it."""

import re
from collections.abc import Iterable, Iterator

from tasks.ingest.damage import damaged
from tasks.ingest.readers.jsonl import BYTE_ORDER_MARK, parsed
from tasks.ingest.records import Record, Refusal

_BLANK = b" \t\r\n"
# What opens and closes inside a value, and where a string ends: at a quote with an even number of backslashes before it.
_BRACKET = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class _Stream:
    """The stream as a window that slides: what is behind `at` may be dropped."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.data, self.at, self._base = b"", 0, 0
        self._blocks = iter(blocks)

    @property
    def offset(self) -> int:
        """The place in the whole stream."""
        return self._base + self.at

    def more(self) -> bool:
        """Take another block; drop what is behind."""
        block = next(self._blocks, b"")
        self._base += self.at
        self.data, self.at = self.data[self.at :] + block, 0
        return bool(block)

    def next(self) -> bytes:
        """Go on to the next byte that is no blank, and return it; empty at the end."""
        while True:
            rest = self.data[self.at :].lstrip(_BLANK)
            self.at = len(self.data) - len(rest)
            if rest:
                return rest[:1]
            if not self.more():
                return b""


def read_json(blocks: Iterable[bytes], location: str, max_bytes: int) -> Iterator[Record | Refusal]:
    """Yield every object as a record, or as a refusal; one longer than `max_bytes` is counted but not held.

    Raises:
        DataError: the file is cut off, or something else stands between or beside the objects.
    """
    stream = _Stream(blocks)
    stream.next()
    while len(stream.data) - stream.at < len(BYTE_ORDER_MARK) and stream.more():
        pass
    stream.at += len(BYTE_ORDER_MARK) if stream.data.startswith(BYTE_ORDER_MARK, stream.at) else 0
    listed = stream.next() == b"["
    stream.at += listed
    first = True
    while (mark := stream.next()) not in ({b"]"} if listed else {b""}):
        if listed and not first and mark == b",":
            stream.at += 1
            mark = stream.next()
        elif listed and not first:
            raise _broken(location, stream, mark, "a comma or the end of the list")
        if mark != b"{":
            raise _broken(location, stream, mark, "an object")
        yield _object(stream, location, max_bytes)
        first = False
    stream.at += listed
    if mark := stream.next():
        raise _broken(location, stream, mark, "nothing behind the list")


def _object(stream: _Stream, location: str, max_bytes: int) -> Record | Refusal:
    begin = stream.offset
    held = bytearray()
    for piece in _pieces(stream, location):
        if len(held) <= max_bytes:
            held += piece
    num_bytes = stream.offset - begin
    if num_bytes > max_bytes:
        detail = f"{num_bytes:,} bytes, the limit (max_document_bytes) is {max_bytes:,}"
        return Refusal(begin, num_bytes, "record_too_long", detail)
    return parsed(begin, num_bytes, bytes(held))


def _pieces(stream: _Stream, location: str) -> Iterator[bytes]:
    """Yield the bytes of one value, up to the bracket that closes it."""
    begin, depth, in_string = stream.offset, 0, False
    while True:
        data, place = stream.data, stream.at
        while found := _STRING_END.match(data, place) if in_string else _BRACKET.search(data, place):
            place = found.end()
            mark = data[place - 1 : place]
            if mark == b'"':
                in_string = not in_string
            else:
                depth += 1 if mark in b"{[" else -1
            if not depth:
                piece, stream.at = data[stream.at : place], place
                yield piece
                return
        # A backslash at the end of a block belongs to what comes next.
        end = _whole_escapes(data, place) if in_string else len(data)
        piece, stream.at = data[stream.at : end], end
        yield piece
        if not stream.more():
            what = f"the JSON ends inside the value that begins at byte {begin:,}: it is truncated"
            raise damaged(location, what, stream.offset)


def _whole_escapes(data: bytes, place: int) -> int:
    """Return where the part of a string that `data` holds from `place` on ends, without half of an escape."""
    backslashes = len(data) - place - len(data[place:].rstrip(b"\\"))
    return len(data) - backslashes % 2


def _broken(location: str, stream: _Stream, mark: bytes, expected: str) -> Exception:
    found = f"found {mark!r}" if mark else "the file ends"
    return damaged(
        location, f"the JSON is damaged at byte {stream.offset:,}: expected {expected}, {found}", stream.offset
    )
