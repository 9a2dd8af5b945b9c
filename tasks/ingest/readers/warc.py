"""WARC and ARC: each response with an HTML body is a page, each conversion (a text record of a WET file) a document.

Requests, metadata and other records about records are none themselves. Headers are read by fastwarc.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tasks.ingest.config import ReadParams
from tasks.ingest.readers.frames import Frame, arc_frames, warc_frames
from tasks.ingest.readers.http_body import BodyError, body_of
from tasks.ingest.readers.members import Members
from tasks.ingest.records import Fate, Page, Record, Refusal

_TYPES = frozenset({"response", "resource", "conversion"})
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
# Where a page without a content type may show that it is HTML.
_SNIFFED_BYTES = 1024
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:,|$)")


class _Known(NamedTuple):
    """What the header of a record says about its document."""

    id: str | None
    url: str | None
    lang: str | None
    extra: Mapping[str, str]


def read_warc(members: Members, params: ReadParams) -> Iterator[Page | Record | Refusal]:
    """Yield every document of a WARC file, and what cannot become one; a damaged record does not cost the next."""
    return _read(warc_frames(members, _limit(params)), params)


def read_arc(members: Members, params: ReadParams) -> Iterator[Page | Record | Refusal]:
    """Yield every page of an ARC file, the Internet Archive's older format, and what cannot become one."""
    return _read(arc_frames(members, _limit(params)), params)


def _limit(params: ReadParams) -> int:
    assert params.extraction is not None, "a unit of pages says how their text is found"
    return max(params.extraction.max_page_bytes, params.max_document_bytes)


def _read(frames: Iterable[Frame | Refusal], params: ReadParams) -> Iterator[Page | Record | Refusal]:
    for frame in frames:
        if isinstance(frame, Refusal):
            yield frame
        elif frame.type in _TYPES:
            yield _made(frame, params, _limit(params))


def _made(frame: Frame, params: ReadParams, limit: int) -> Page | Record | Refusal:
    block, begin = _body_begin(frame.block)
    try:
        parsed = _parsed(frame.head + block[:begin])
    except (OSError, ValueError, StopIteration) as error:
        return _refused(frame, "bad_record_header", f"fastwarc: {type(error).__name__}")
    headers = parsed.headers
    known = _Known(
        _identity(parsed.record_id),
        headers.get("WARC-Target-URI"),
        _language(headers.get("WARC-Identified-Content-Language")),
        {"warc_date": date} if (date := headers.get("WARC-Date")) else {},
    )
    if frame.type == "conversion":
        return _text(frame, known, params) if frame.whole else _too_long(frame, limit)
    body = frame.block if parsed.http_headers is None else block[begin:]
    return _no_page(frame, parsed, known) or _page(frame, parsed, known, body, limit)


def _body_begin(block: bytes) -> tuple[bytes, int]:
    """Return a block whose HTTP header has the line ends of the standard, and where its body begins."""
    if not block.startswith(b"HTTP/"):
        return block, len(block)
    end = _HEADER_END.search(block)
    begin = end.end() if end else len(block)
    head = block[:begin]
    if head.count(b"\n") == head.count(b"\r\n"):
        return block, begin
    head = b"\r\n".join(line.removesuffix(b"\r") for line in head.split(b"\n"))
    return head + block[begin:], len(head)


def _parsed(data: bytes) -> Any:
    """Return fastwarc's view of a record's headers."""
    from fastwarc.warc import ArchiveIterator

    return next(iter(ArchiveIterator(io.BytesIO(data), parse_http=True, auto_decode="none", fsspec_args=False)))


def _no_page(frame: Frame, parsed: Any, known: _Known) -> Refusal | None:
    """Return why a record is no page, by its status and content type."""
    http = parsed.http_headers
    if http is not None and not isinstance(http.status_code, int):
        return _refused(frame, "bad_http_header", f"begins with {frame.block[:40]!r}")
    if http is not None and not 200 <= http.status_code < 300:
        return _refused(frame, "http_status", f"status {http.status_code}; {known.url}", "dropped")
    kind = _content_type(parsed)
    if kind and "html" not in kind.lower():
        return _refused(frame, "not_html", f"content type {kind[:80]!a}; {known.url}", "dropped")
    return None


def _page(frame: Frame, parsed: Any, known: _Known, raw: bytes, limit: int) -> Page | Refusal:
    http = parsed.http_headers
    body: bytes | None = raw
    if http is not None and frame.whole:
        try:
            body = body_of(raw, http.get("Transfer-Encoding") or "", http.get("Content-Encoding") or "", limit)
        except BodyError as error:
            return _refused(frame, "undecodable", f"{error}; {known.url}")
    if body is None:
        return _too_long(frame, limit)
    if not _content_type(parsed) and not _HTML.search(body[:_SNIFFED_BYTES]):
        return _refused(frame, "not_html", f"no content type; {known.url}", "dropped")
    if not frame.whole:
        return _too_long(frame, limit)
    lang = known.lang or (_language(http.get("Content-Language")) if http is not None else None)
    charset = parsed.http_charset.strip("\"' ") if parsed.http_charset else None
    return Page(frame.offset, frame.bytes, body, known.id, known.url, charset, lang, known.extra)


def _content_type(parsed: Any) -> str | None:
    found = parsed.http_content_type if parsed.http_headers is not None else parsed.headers.get("Content-Type")
    return str(found) if found else None


def _text(frame: Frame, known: _Known, params: ReadParams) -> Record | Refusal:
    try:
        text = frame.block.decode()
    except UnicodeDecodeError as error:
        detail = f"byte 0x{error.object[error.start]:02x} at byte {error.start} of the record's block"
        return _refused(frame, "invalid_utf8", detail)
    fields = {params.text_field: text, params.id_field: known.id, params.url_field: known.url}
    fields |= {params.lang_field: known.lang}
    present = {name: value for name, value in fields.items() if name is not None and value is not None}
    return Record(frame.offset, frame.bytes, present | dict(known.extra))


def _too_long(frame: Frame, limit: int) -> Refusal:
    return _refused(frame, "page_too_long", f"{frame.bytes:,} bytes or more, the limit is {limit:,}")


def _refused(frame: Frame, reason: str, detail: str, fate: Fate = "quarantined") -> Refusal:
    return Refusal(frame.offset, frame.bytes, reason, detail, fate)


def _identity(record_id: str | None) -> str | None:
    """Return a record's id as a document is called.

    >>> _identity("<urn:uuid:17>")
    '17'
    """
    return record_id.strip("<>").removeprefix("urn:uuid:") or None if record_id else None


def _language(declared: str | None) -> str | None:
    found = _LANGUAGE.match(declared) if declared else None
    return found.group(1).lower() if found else None
