"""A file that is one document: a text of any kind (.txt, .md, .py, .c, ...), or the bytes of a page.

One that cannot be is a file that is refused, not a record: it may be a shard of a million records in disguise.
"""

from collections.abc import Iterable, Iterator

from tasks.ingest.damage import unusable
from tasks.ingest.records import Page, Record

# Text with one of these marks says itself that it is not UTF-8.
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(blocks: Iterable[bytes], location: str, *, text_field: str, max_bytes: int) -> Iterator[Record]:
    """Yield the one record of a text file, none of an empty one.

    Raises:
        DataError: it is longer than the limit, or no text in UTF-8, nor in UTF-16 with a mark.
    """
    whole = _whole(blocks, location, max_bytes)
    encoding = next((encoding for mark, encoding in _MARKS if whole.startswith(mark)), "utf-8-sig")
    try:
        text = whole.decode(encoding)
    except UnicodeDecodeError as error:
        what = f"no text in UTF-8: byte 0x{whole[error.start]:02x} at byte {error.start:,}"
        raise unusable(location, "file_not_utf8", what, "Convert it to UTF-8", error.start) from error
    if whole:
        yield Record(0, len(whole), {text_field: text}, is_file=True)


def read_html(blocks: Iterable[bytes], location: str, *, max_bytes: int) -> Iterator[Page]:
    """Yield the one page of an HTML file, none of an empty one.

    Raises:
        DataError: it is longer than the limit.
    """
    if whole := _whole(blocks, location, max_bytes):
        yield Page(0, len(whole), whole, is_file=True)


def _whole(blocks: Iterable[bytes], location: str, max_bytes: int) -> bytes:
    held, total = bytearray(), 0
    for block in blocks:
        total += len(block)
        if total <= max_bytes:
            held += block
    if total > max_bytes:
        what = f"one document of {total:,} bytes, the limit (ingest.max_document_bytes) is {max_bytes:,}"
        raise unusable(location, "file_too_long", what, "Split it, raise the limit")
    return bytes(held)
