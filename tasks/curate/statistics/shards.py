"""Shards of documents: reading the columns a unit needs, writing tables so that the same rows give the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.errors import DataError


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns of a shard (None: all of them).

    Raises:
        DataError: the file is not Parquet or lacks a column; names those it has.
    """
    try:
        names = pq.read_schema(path).names
        if missing := [column for column in columns or () if column not in names]:
            raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}. Run ingest again.")
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}. Run ingest again.") from error


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, zstd level 3."""
    pq.write_table(table, path, compression="zstd", compression_level=3)
