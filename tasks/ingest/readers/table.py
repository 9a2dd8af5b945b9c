"""CSV and TSV: the first line names the columns, every further row is a record. Read by Python's `csv`, in bounded memory.

A quote that is never closed would make one row of thousands: a row that reaches the limit, or the end of the file,
inside a quoted field is damage of the file, not one bad record.
"""

import csv
from collections.abc import Iterable, Iterator

from tasks.ingest.damage import DamagedFileError, NoTextColumnError, damaged
from tasks.ingest.readers.jsonl import BYTE_ORDER_MARK
from tasks.ingest.readers.lines import lines
from tasks.ingest.records import Record, Refusal

_DELIMITERS = "\t,;|"


class _Rows:
    """The lines of a table as `csv` takes them, with the place of the row that is being read."""

    def __init__(self, blocks: Iterable[bytes], location: str, max_bytes: int) -> None:
        self.begin = self.end = 0
        self._lines, self._location, self._max_bytes = lines(blocks, max_bytes), location, max_bytes

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if line.data is None or line.offset + line.bytes - self.begin > self._max_bytes:
                raise self.broken(f"is longer than the limit (max_document_bytes, {self._max_bytes:,} bytes)")
            self.end = line.offset + line.bytes + 1
            # Bytes that are no UTF-8 stay recognisable: their record is refused, not the table.
            yield line.data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "surrogateescape") + "\n"

    def broken(self, what: str) -> DamagedFileError:
        """Return the error of a row that cannot be told from what follows it."""
        why = "a quote in it may never be closed"
        return damaged(self._location, f"the row that begins at byte {self.begin:,} {what}: {why}", self.begin)


def read_table(
    blocks: Iterable[bytes], location: str, *, text_field: str, max_bytes: int
) -> Iterator[Record | Refusal]:
    """Yield every row below the header as a record of texts; an empty field is null.

    Raises:
        DataError: no column is called like the text field, two are called the same, or the table is damaged.
    """
    rows = _Rows(blocks, location, max_bytes)
    # The library's limit on a field is one for the whole process, and counts characters.
    csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
    feed = iter(rows)
    first = next(feed, "")
    delimiter = max(_DELIMITERS, key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    if first:
        _require_columns(names, text_field, location)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        rows.begin = rows.end
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise rows.broken("does not end before the file does") from error
            detail = "a quote stands where none can, or a carriage return without a newline"
            yield Refusal(rows.begin, rows.end - rows.begin - 1, "bad_row", detail)
            continue
        if fields is None:
            return
        if fields:
            yield _record(rows.begin, rows.end - rows.begin - 1, names, fields)


def _record(offset: int, num_bytes: int, names: list[str], fields: list[str]) -> Record | Refusal:
    if len(fields) != len(names):
        return Refusal(offset, num_bytes, "bad_row", f"{len(fields)} fields, the header names {len(names)}")
    return Record(offset, num_bytes, {name: value or None for name, value in zip(names, fields, strict=True)})


def _require_columns(names: list[str], text_field: str, location: str) -> None:
    if text_field not in names:
        raise NoTextColumnError(
            f"{location}: no column {text_field!r}; it has {', '.join(names)[:200]}. Name the one that holds the text: "
            "--set ingest.text_field=NAME.",
            tuple(names),
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise damaged(location, f"two columns are called {repeated[0]!r}", 0)
