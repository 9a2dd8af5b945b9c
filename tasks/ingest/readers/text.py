"""A file that is one document: a text of any kind (.txt, .md, .py, .c, ...), or the bytes of a page."""

from collections.abc import Iterable, Iterator

from tasks.ingest.readers.jsonl import invalid_utf8
from tasks.ingest.records import Page, Record, Refusal

# Text with one of these marks says itself that it is not UTF-8.
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(blocks: Iterable[bytes], *, text_field: str, max_bytes: int) -> Iterator[Record | Refusal]:
    """Yield the one record of a text file; a file beyond the limit is counted but not held."""
    whole = _whole(blocks, max_bytes)
    if isinstance(whole, Refusal):
        yield whole
        return
    encoding = next((encoding for mark, encoding in _MARKS if whole.startswith(mark)), "utf-8-sig")
    try:
        yield Record(0, len(whole), {text_field: whole.decode(encoding)})
    except UnicodeDecodeError as error:
        yield invalid_utf8(0, len(whole), error)


def read_html(blocks: Iterable[bytes], *, max_bytes: int) -> Iterator[Page | Refusal]:
    """Yield the one page of an HTML file; a file beyond the limit is counted but not held."""
    whole = _whole(blocks, max_bytes)
    yield whole if isinstance(whole, Refusal) else Page(0, len(whole), whole)


def _whole(blocks: Iterable[bytes], max_bytes: int) -> bytes | Refusal:
    held, total = bytearray(), 0
    for block in blocks:
        total += len(block)
        if total <= max_bytes:
            held += block
    if total > max_bytes:
        detail = f"{total:,} bytes, the limit (max_document_bytes) is {max_bytes:,}"
        return Refusal(0, total, "file_too_long", detail)
    return bytes(held)
