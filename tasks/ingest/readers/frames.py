"""Records of a WARC file cut out of its bytes, each with its place, also where some of them are damaged.

A record is a header, a block of the length that the header tells, and two line ends. Where that does not hold, the
record is refused and the reader goes on at the next place that looks like the beginning of one. No library known does:
on a wrong length fastwarc gives the records behind it as part of the first, warcio and it stop at a damaged member.
"""

import builtins
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tasks.ingest.readers.members import MemberError, Members
from tasks.ingest.records import Refusal

_END = b"\r\n\r\n"
_VERSION = b"WARC/1."
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_TYPE = re.compile(rb"\r\nwarc-type[ \t]*:[ \t]*([a-z]+)[ \t]*\r\n", re.IGNORECASE)
_MAX_HEADER = 64 << 10


class Frame(NamedTuple):
    """One record. `head` and `block` are its bytes; of a block longer than the limit only the beginning, and not whole."""

    offset: int
    bytes: int
    type: str
    head: builtins.bytes
    block: builtins.bytes
    whole: bool


class _Content:
    """The content of one member, read as it is asked for."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.position = 0
        self._read, self._held = read, bytearray()

    def peek(self, num_bytes: int) -> bytes:
        """Return the next bytes without going on; fewer at the end."""
        self._fill(num_bytes)
        return bytes(self._held[:num_bytes])

    def take(self, num_bytes: int) -> bytes:
        """Return the next bytes; fewer at the end."""
        taken = self.peek(num_bytes)
        del self._held[: len(taken)]
        self.position += len(taken)
        return taken

    def skip(self, num_bytes: int) -> int:
        """Go on without holding what is passed; return by how much."""
        passed = 0
        while passed < num_bytes and (piece := self.take(min(num_bytes - passed, 1 << 20))):
            passed += len(piece)
        return passed

    def back(self, data: bytes) -> None:
        """Put back what was taken."""
        self._held[:0] = data
        self.position -= len(data)

    def until(self, mark: bytes, limit: int) -> bytes | None:
        """Return everything up to and with the mark, or None where it does not come within the limit."""
        size = 4096
        while True:
            data = self.peek(size)
            if (place := data.find(mark)) >= 0:
                return self.take(place + len(mark))
            if len(data) < size or size >= limit:
                return None
            size *= 4

    def seek(self, mark: bytes) -> bool:
        """Go right before the next mark; return whether there is one."""
        while data := self.peek(1 << 16):
            if (place := data.find(mark)) >= 0:
                self.skip(place)
                return True
            self.skip(max(1, len(data) - len(mark) + 1) if len(data) == 1 << 16 else len(data))
        return False

    def _fill(self, num_bytes: int) -> None:
        while len(self._held) < num_bytes and (piece := self._read()):
            self._held += piece


def frames(members: Members, max_bytes: int) -> Iterator[Frame | Refusal]:
    """Yield every record of a WARC file, or why there is none.

    The offset of a record is where its gzip member begins in the file, or where it begins itself if there are none.
    """
    while (base := members.begin()) is not None:
        content = _Content(members.read)
        begun = 0
        try:
            while True:
                begun = content.position
                if (found := _next(content, base, max_bytes)) is None:
                    break
                yield found
        except MemberError as error:
            yield Refusal(base, content.position - begun, error.reason, error.detail)


def _next(content: _Content, base: int, max_bytes: int) -> Frame | Refusal | None:
    while content.peek(2) == b"\r\n":
        content.skip(2)
    if not content.peek(1):
        return None
    start = content.position
    head = content.until(_END, _MAX_HEADER) if content.peek(len(_VERSION)) == _VERSION else None
    length = _LENGTH.search(head) if head else None
    if head is None or length is None:
        what = "a header without length" if head else f"no header: {content.peek(20)!r}"
        return _lost(content, base, start, "bad_record_header", what)
    num_bytes = int(length.group(1))
    kind = _TYPE.search(head)
    whole = num_bytes <= max_bytes
    block = content.take(num_bytes if whole else _MAX_HEADER)
    found = len(block) if whole else len(block) + content.skip(num_bytes - len(block))
    # At the very end some writers leave the line ends out.
    after = content.peek(len(_END))
    if found == num_bytes and (after == _END[: len(after)]):
        name = kind.group(1).decode().lower() if kind else ""
        return Frame(base + start, len(head) + num_bytes, name, head, block, whole)
    # The length is wrong, or the file ends here: what was taken for this record may hold the next ones.
    if whole:
        content.back(block)
    if found < num_bytes:
        return _lost(content, base, start, "truncated_record", f"{num_bytes:,} bytes announced, {found:,} are there")
    detail = f"{num_bytes:,} bytes announced, no record ends there"
    return _lost(content, base, start, "bad_record_length", detail)


def _lost(content: _Content, base: int, start: int, reason: str, detail: str) -> Refusal:
    """Go to the next place that looks like a record, and return the refusal of what lies before it."""
    if content.seek(_END + _VERSION):
        content.skip(len(_END))
    return Refusal(base + start, content.position - start, reason, detail)
