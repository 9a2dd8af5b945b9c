"""Records of a WARC or ARC file cut out of its bytes, each with its place, also where some of them are damaged.

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
_VERSION = re.compile(rb"WARC/(\d)\.\d+[ \t]*\r?\n")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_TYPE = re.compile(rb"\r\nwarc-type[ \t]*:[ \t]*([a-z]+)[ \t]*\r\n", re.IGNORECASE)
_ARC_LINE = re.compile(rb"([^\r\n]+?) [0-9a-fA-F.:]+ (\d{14}) (\S+) (?:[^\r\n]* )?(\d{1,15})\r?\n")
_MAX_HEADER = 64 << 10
# What is searched at a time, and how long what is searched for may be.
_WINDOW, _OVERLAP = 64 << 10, 4 << 10


class Frame(NamedTuple):
    """One record. `head` and `block` are its bytes; of a block longer than the limit only the beginning, and not whole."""

    offset: int
    bytes: int
    type: str
    head: builtins.bytes
    block: builtins.bytes
    whole: bool


class _Head(NamedTuple):
    """The header of a record as WARC 1.0 has it, its length as it stands, that of its block, its type, and what ends it."""

    as_warc: builtins.bytes
    bytes: int
    length: int
    type: str
    end: builtins.bytes


class _Dialect(NamedTuple):
    """How a header is read (or what is wrong with it), and where the next record begins, whatever lies between."""

    head: Callable[["_Content"], _Head | str]
    next: re.Pattern[bytes]


class _Content:
    """The content of one member, read as it is asked for."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.position = 0
        self._read, self._held, self._aside = read, bytearray(), b""
        self._failed: MemberError | None = None

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

    def seek(self, pattern: re.Pattern[bytes]) -> None:
        """Go right behind the next match, or to the end."""
        while data := self.peek(_WINDOW):
            if found := pattern.search(data):
                self.skip(found.end())
                return
            self.skip(max(1, len(data) - _OVERLAP) if len(data) == _WINDOW else len(data))

    def over(self, num_bytes: int, pattern: re.Pattern[bytes], max_held: int) -> tuple[int, bytes]:
        """Go on, holding what comes behind the first match, at most so much; return by how much, and the first bytes.

        What was held can be put back: it stands right before where this ends.
        """
        passed, first, window, held = 0, b"", b"", bytearray()
        found: re.Match[bytes] | None = None
        while passed < num_bytes and len(held) <= max_held:
            try:
                piece = self.take(min(num_bytes - passed, _WINDOW))
            except MemberError as error:
                # Raised again when what came before the damage has been read.
                self._failed = error
                piece = self.take(min(num_bytes - passed, _WINDOW)) if self._held else b""
            if not piece:
                break
            passed += len(piece)
            first += piece[: _MAX_HEADER - len(first)]
            if found is None:
                window = window[-_OVERLAP:] + piece
                if found := pattern.search(window):
                    held += window[found.end() :]
            else:
                held += piece
        self._aside = bytes(held) if found else b""
        return passed, first

    def put_aside_back(self) -> bool:
        """Put back what `over` held; return whether there was anything."""
        self.back(self._aside)
        there, self._aside = bool(self._aside), b""
        return there

    def _fill(self, num_bytes: int) -> None:
        while len(self._held) < num_bytes:
            if self._failed is not None:
                if not self._held:
                    raise self._failed
                return
            if not (piece := self._read()):
                return
            self._held += piece


def warc_frames(members: Members, max_bytes: int) -> Iterator[Frame | Refusal]:
    """Yield every record of a WARC file, or why there is none.

    The offset of a record is where its gzip member begins in the file, or where it begins itself if there are none.
    """
    return _frames(members, max_bytes, _WARC)


def arc_frames(members: Members, max_bytes: int) -> Iterator[Frame | Refusal]:
    """Yield every record of an ARC file, with the header that a WARC file would give it, or why there is none."""
    return _frames(members, max_bytes, _ARC)


def _frames(members: Members, max_bytes: int, dialect: _Dialect) -> Iterator[Frame | Refusal]:
    while (base := members.begin()) is not None:
        content = _Content(members.read)
        begun = 0
        try:
            while True:
                begun = content.position
                if (found := _next(content, base, max_bytes, dialect)) is None:
                    break
                yield found
        except MemberError as error:
            yield Refusal(base, content.position - begun, error.reason, error.detail)


def _next(content: _Content, base: int, max_bytes: int, dialect: _Dialect) -> Frame | Refusal | None:
    while (blank := content.peek(2)) == b"\r\n" or blank[:1] == b"\n":
        content.skip(2 if blank == b"\r\n" else 1)
    if not blank:
        return None
    start = content.position
    head = dialect.head(content)
    if isinstance(head, str):
        return _lost(content, base, start, "bad_record_header", head, dialect)
    num_bytes = head.length
    whole = num_bytes <= max_bytes
    if whole:
        found = len(block := content.take(num_bytes))
    else:
        found, block = content.over(num_bytes, dialect.next, max_bytes)
    # At the very end some writers leave the line ends out.
    after = content.peek(len(head.end)) if found == num_bytes else b""
    if found == num_bytes and (after == head.end[: len(after)] or after[:2] == b"\n\n"):
        return Frame(base + start, head.bytes + num_bytes, head.type, head.as_warc, block, whole)
    # The length is wrong, or the file ends here: what was taken for this record may hold the next ones.
    if whole:
        content.back(block)
    if found < num_bytes:
        reason, detail = "truncated_record", f"{num_bytes:,} bytes announced, {found:,} are there"
    else:
        reason, detail = "bad_record_length", f"{num_bytes:,} bytes announced, no record ends there"
    if not whole and content.put_aside_back():
        return Refusal(base + start, content.position - start, reason, f"{detail}; the next record begins before")
    return _lost(content, base, start, reason, detail, dialect)


def _lost(content: _Content, base: int, start: int, reason: str, detail: str, dialect: _Dialect) -> Refusal:
    """Go to the next place that looks like a record, and return the refusal of what lies before it."""
    content.seek(dialect.next)
    return Refusal(base + start, content.position - start, reason, detail)


def _warc_head(content: _Content) -> _Head | str:
    """Read the header of a WARC record of any version, with the line ends of the standard or of Unix."""
    version = _VERSION.match(content.peek(16))
    if version is None:
        return f"no header: {content.peek(20)!r}"
    end = _END if version[0].endswith(b"\r\n") else b"\n\n"
    found = content.until(end, _MAX_HEADER)
    if found is None:
        return f"no header: {content.peek(20)!r}"
    head = found
    if end != _END or version[1] != b"1":
        # ClueWeb09 has 0.18 and both line ends.
        lines = [line.removesuffix(b"\r") for line in found.split(b"\n")]
        head = b"\r\n".join([b"WARC/1.0", *lines[1:]])
    length = _LENGTH.search(head)
    if length is None:
        return "a header without length"
    kind = _TYPE.search(head)
    return _Head(head, len(found), int(length[1]), kind[1].decode().lower() if kind else "", end)


def _arc_head(content: _Content) -> _Head | str:
    """Read the line before an ARC record: `URL IP date type length`, or more fields in version 2."""
    beginning = content.peek(20)
    line = content.until(b"\n", _MAX_HEADER)
    found = _ARC_LINE.fullmatch(line) if line else None
    if line is None or found is None:
        return f"no header: {beginning!r}"
    url, date, kind, length = found.groups()
    about = url.startswith(b"filedesc:")
    http = content.peek(5) == b"HTTP/"
    stamp = b"%s-%s-%sT%s:%s:%sZ" % (date[:4], date[4:6], date[6:8], date[8:10], date[10:12], date[12:14])
    fields = {
        b"WARC-Type": b"warcinfo" if about else b"response" if http else b"resource",
        b"WARC-Target-URI": url,
        b"WARC-Date": stamp,
        b"Content-Type": b"application/http; msgtype=response" if http else kind,
        b"Content-Length": length,
    }
    head = b"WARC/1.0\r\n" + b"".join(b"%s: %s\r\n" % field for field in fields.items()) + b"\r\n"
    return _Head(head, len(line), int(length), fields[b"WARC-Type"].decode(), b"\n")


_WARC = _Dialect(_warc_head, re.compile(rb"(?:\r\n\r\n|\n\n)(?=WARC/\d)"))
_ARC_NEXT = rb"\n(?=[a-z][a-z0-9+.-]*://[^\r\n]{1,2048} [0-9a-fA-F.:]{2,45} \d{14} [^\r\n]{1,400} \d+\r?\n)"
_ARC = _Dialect(_arc_head, re.compile(_ARC_NEXT))
