"""Parquet: one record per row. Read in batches bounded by decoded size; the file is read twice, once for its digest."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.damage import NoTextColumnError, damaged
from tasks.ingest.places import opened
from tasks.ingest.readers.arrow_values import rows_of_batch
from tasks.ingest.readers.row_group import Group
from tasks.ingest.readers.stream import EXPANSION_FLOOR, verified_blocks
from tasks.ingest.records import Record, Refusal

_BUFFER_BYTES = 1 << 20


def read_parquet(
    location: str, digest: str, *, text_field: str, max_bytes: int, max_expansion: float | None = None, skip: int = 0
) -> Iterator[Record | Refusal]:
    """Yield every row behind the first `skip` as a record; its offset is its number, its bytes are those of its text.

    Raises:
        DataError: the file is damaged (says how many rows could be read), has no text column, is a bomb, or is not the
            one listed.
    """
    for _ in verified_blocks(location, digest):
        pass
    with opened(location) as stream:
        yield from rows_of(stream, location, text_field, max_bytes, max_expansion, skip)


def rows_of(
    stream: Any, location: str, text_field: str, max_bytes: int, max_expansion: float | None, skip: int = 0
) -> Iterator[Record | Refusal]:
    """Yield the rows of an open Parquet file, see `read_parquet`."""
    number = packed = decoded = 0
    try:
        # Pages are read as they are needed: a row group may be larger than memory.
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        _require_column(location, text_field, file.schema_arrow.names)
        for index in range(file.metadata.num_row_groups):
            group = Group(file, stream, index, max_expansion)
            if reason := group.bomb():
                raise damaged(location, f"row group {index} is a decompression bomb: {reason}", number)
            packed += group.packed
            if number + group.num_rows <= skip:
                number += group.num_rows
                continue
            for batch in map(_flat, file.iter_batches(group.batch_rows(), [index], use_threads=False)):
                decoded += batch.nbytes
                if max_expansion is not None and decoded > max(EXPANSION_FLOOR, max_expansion * packed):
                    what = f"row group {index} is a decompression bomb: {decoded:,} bytes and more in {packed:,}"
                    raise damaged(location, what, number)
                behind = min(batch.num_rows, max(0, skip - number))
                number += behind
                for fields in rows_of_batch(batch.slice(behind)):
                    yield _record(number, fields, text_field, max_bytes)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        what = f"the Parquet file is damaged or truncated, after {number:,} rows: {str(error)[:200]}"
        raise damaged(location, what, number) from error


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns hold a value for every row, as they are counted and read."""
    if not any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
        return batch
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _require_column(location: str, text_field: str, columns: list[str]) -> None:
    if text_field not in columns:
        raise NoTextColumnError(
            f"{location}: no column {text_field!r}; it has {', '.join(columns)}. Name the one that holds the text: "
            "--set ingest.text_field=NAME.",
            tuple(columns),
        )


def _record(
    number: int, fields: dict[str, Any] | UnicodeDecodeError, text_field: str, max_bytes: int
) -> Record | Refusal:
    if isinstance(fields, UnicodeDecodeError):
        return _not_utf8(number, fields)
    text = fields[text_field]
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            return _not_utf8(number, error)
        fields = fields | {text_field: text}
    num_bytes = len(text.encode()) if isinstance(text, str) else 0
    if num_bytes > max_bytes:
        detail = f"{num_bytes:,} bytes, the limit (max_document_bytes) is {max_bytes:,}"
        return Refusal(number, num_bytes, "text_too_long", detail)
    return Record(number, num_bytes, fields)


def _not_utf8(number: int, error: UnicodeDecodeError) -> Refusal:
    detail = f"byte 0x{error.object[error.start]:02x} at byte {error.start} of a text of {len(error.object):,} bytes"
    return Refusal(number, len(error.object), "invalid_utf8", detail)
