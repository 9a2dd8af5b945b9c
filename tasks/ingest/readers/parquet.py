"""Parquet: one record per row. Read in small batches; the file is read twice, once for its digest."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.errors import DataError
from tasks.ingest.places import opened
from tasks.ingest.readers.stream import verified_blocks
from tasks.ingest.records import Record, Refusal

# Rows held at a time: few enough that a batch of long documents stays small.
_BATCH_ROWS = 256


def read_parquet(location: str, digest: str, *, text_field: str, max_bytes: int) -> Iterator[Record | Refusal]:
    """Yield every row as a record; its offset is its number, its bytes are those of its text.

    Raises:
        DataError: the file is damaged (says how many rows could be read), has no text column, or is not the one listed.
    """
    for _ in verified_blocks(location, digest):
        pass
    number = 0
    with opened(location) as stream:
        try:
            file = pq.ParquetFile(stream)
            _require_column(location, text_field, file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH_ROWS):
                for fields in _rows(batch):
                    yield _record(number, fields, text_field, max_bytes)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{location}: the Parquet file is damaged or truncated, after {number:,} rows: {str(error)[:200]} "
                "Nothing of this file was used. Get the file again, or leave it out of the input."
            ) from error


def _require_column(location: str, text_field: str, columns: list[str]) -> None:
    if text_field not in columns:
        raise DataError(
            f"{location}: no column {text_field!r}; it has {', '.join(columns)}. Name the one that holds the text: "
            "--set ingest.text_field=NAME."
        )


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        # Arrow does not check the text it reads; rows are tried one by one, so that only bad ones are set aside.
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield error


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
