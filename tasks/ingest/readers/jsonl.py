"""JSON Lines: one object per line, in UTF-8. Blank lines are no records.

Files that each begin with a byte order mark and were joined have one in the middle: at the start of a line it is none
of the record's.
"""

from collections.abc import Iterable, Iterator

from tasks.ingest.readers.json_object import object_of
from tasks.ingest.readers.lines import lines
from tasks.ingest.readers.stream import skipped
from tasks.ingest.records import Record, Refusal

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_jsonl(blocks: Iterable[bytes], max_bytes: int, offset: int = 0) -> Iterator[Record | Refusal]:
    """Yield every line that is not blank as a record, or as a refusal that says what is wrong with it.

    `offset` is where in the stream to begin: 0, or right behind a newline.
    """
    for line in lines(skipped(iter(blocks), offset), max_bytes, offset):
        if line.data is None:
            detail = f"{line.bytes:,} bytes, the limit (max_document_bytes) is {max_bytes:,}"
            yield Refusal(line.offset, line.bytes, "line_too_long", detail)
        elif (data := line.data.removeprefix(BYTE_ORDER_MARK)) and not data.isspace():
            yield parsed(line.offset, line.bytes, data)


def parsed(offset: int, num_bytes: int, data: bytes) -> Record | Refusal:
    """Return the record that the bytes of a JSON object hold, or the refusal that says what is wrong with them."""
    try:
        return Record(offset, num_bytes, object_of(data))
    except UnicodeDecodeError as error:
        return invalid_utf8(offset, num_bytes, error)
    except ValueError:
        # The parser's own words change with its version; what is stored here must not.
        text = data.decode()
        return Refusal(offset, num_bytes, "invalid_json", f"begins with {text[:60]!a}, ends with {text[-20:]!a}")


def invalid_utf8(offset: int, num_bytes: int, error: UnicodeDecodeError) -> Refusal:
    """Return the refusal of a record that is not UTF-8; the detail holds the first wrong byte and its place."""
    detail = f"byte 0x{error.object[error.start]:02x} at byte {error.start} of the record"
    return Refusal(offset, num_bytes, "invalid_utf8", detail)
