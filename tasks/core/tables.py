"""Tables of documents as Parquet: the columns that are asked for, and the same bytes for the same rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.errors import DataError

_BATCH_ROWS = 4096


def read_table(path: Path, columns: Sequence[str] | None = None, *, stage: str = "ingest") -> pa.Table:
    """Return columns of a table (None: all of them); `stage` is the one to run again if it cannot be read.

    Raises:
        DataError: the file is not Parquet or lacks a column; names those it has.
    """
    with _opened(path, columns or (), stage) as file:
        return file.read(None if columns is None else list(columns), use_threads=False)


def table_batches(path: Path, columns: Sequence[str], *, stage: str) -> Iterator[pa.RecordBatch]:
    """Yield columns of a table batch by batch, so that one of any size can be gone through.

    Raises:
        DataError: as `read_table`.
    """
    with _opened(path, columns, stage) as file:
        yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns))


@contextmanager
def _opened(path: Path, columns: Sequence[str], stage: str) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise DataError(
                    f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}. Run {stage} again."
                )
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}. Run {stage} again.") from error


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, zstd level 3."""
    pq.write_table(table, path, compression="zstd", compression_level=3)


def with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table whose columns of `schema` have its types; it may have others besides.

    Raises:
        ValueError: a column is missing, of another type, or null where it may not be.
    """
    for field in schema:
        if field.name not in table.column_names:
            raise ValueError(f"there is no column {field.name}")
        found = table[field.name]
        if found.type != field.type or (found.null_count and not field.nullable):
            raise ValueError(f"{field.name} is {found.type} with {found.null_count} nulls, expected {field}")
    return table


def text_bytes(texts: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    """Return the UTF-8 bytes of every text of a column, shape [N]."""
    return np.asarray(pc.binary_length(texts), dtype=np.int64)
