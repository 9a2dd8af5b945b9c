"""A text file of any kind (.txt, .md, .py, .c, ...): the whole file is one record."""

from collections.abc import Iterable, Iterator

from tasks.ingest.readers.jsonl import invalid_utf8
from tasks.ingest.records import Record, Refusal


def read_text(blocks: Iterable[bytes], *, text_field: str, max_bytes: int) -> Iterator[Record | Refusal]:
    """Yield the one record of a text file; a file beyond the limit is counted but not held."""
    held, total = bytearray(), 0
    for block in blocks:
        total += len(block)
        if total <= max_bytes:
            held += block
    if total > max_bytes:
        detail = f"{total:,} bytes, the limit (max_document_bytes) is {max_bytes:,}"
        yield Refusal(0, total, "file_too_long", detail)
        return
    try:
        text = held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield invalid_utf8(0, total, error)
        return
    yield Record(0, total, {text_field: text})
