"""Parquet shards written row group by row group, so that memory is bounded and the bytes depend on the rows alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

# A row group is closed by whichever comes first. 8 MiB of text keeps a worker small and a group worth compressing.
_GROUP_ROWS = 10_000
_GROUP_BYTES = 8 << 20
# Of these columns few values stand again and again. Texts and ids are all different: a dictionary costs and gives nothing.
_DICTIONARIES = ("file", "lang", "reason", "source")
# Level 1 packs 14 % worse than level 3, in 0.55 of the time (measured on 127 MB of text).
_ZSTD_LEVEL = 1

Row = tuple[Any, ...]


class ShardWriter:
    """Writes rows into one Parquet file; no row, no file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = self.bytes = 0
        self._path, self._schema = path, schema
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(whole=kind is None)

    def add(self, row: Row, num_bytes: int) -> None:
        """Add a row, in the order of the schema's columns, that weighs `num_bytes`."""
        self.rows += 1
        self.bytes += num_bytes
        self._pending.append(row)
        self._pending_bytes += num_bytes
        if len(self._pending) >= _GROUP_ROWS or self._pending_bytes >= _GROUP_BYTES:
            self._flush()

    def close(self, *, whole: bool = True) -> None:
        """End the file; what is pending is written if it is `whole`."""
        if whole:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            dictionaries = [name for name in self._schema.names if name in _DICTIONARIES]
            self._writer = pq.ParquetWriter(
                self._path,
                self._schema,
                compression="zstd",
                compression_level=_ZSTD_LEVEL,
                use_dictionary=dictionaries,
                write_statistics=False,
            )
        columns = zip(*self._pending, strict=True)
        arrays = [pa.array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._pending, self._pending_bytes = [], 0


def rows_of(paths: Iterable[Path]) -> Iterator[Row]:
    """Yield the rows of Parquet files, one after another."""
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def rows_in(paths: Iterable[Path]) -> int:
    """Return how many rows Parquet files have."""
    return sum(pq.read_metadata(path).num_rows for path in paths)
