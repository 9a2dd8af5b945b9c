"""Parquet shards written row group by row group, so that memory is bounded and the bytes depend on the rows alone."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

# A row group is closed by whichever comes first. 8 MiB of text keeps a worker small and a group worth compressing.
_GROUP_ROWS = 10_000
_GROUP_BYTES = 8 << 20


class ShardWriter:
    """Writes rows into `<name>-00000.parquet`, `<name>-00001.parquet`, ...; no row, no file.

    A shard is closed by the row that brings it to `target_bytes` (of what `add` was told); None means one shard.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema, target_bytes: int | None) -> None:
        self.rows = self.shards = 0
        self._folder, self._name, self._schema, self._target_bytes = folder, name, schema, target_bytes
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = self._shard_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._close()

    def add(self, row: dict[str, Any], num_bytes: int) -> None:
        """Add a row that weighs `num_bytes`."""
        self.rows += 1
        self._pending.append(row)
        self._pending_bytes += num_bytes
        self._shard_bytes += num_bytes
        if len(self._pending) >= _GROUP_ROWS or self._pending_bytes >= _GROUP_BYTES:
            self._flush()
        if self._target_bytes is not None and self._shard_bytes >= self._target_bytes:
            self._flush()
            self._close()

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            path = self._folder / f"{self._name}-{self.shards:05}.parquet"
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", compression_level=3)
            self.shards += 1
        self._writer.write_table(pa.Table.from_pylist(self._pending, self._schema))
        self._pending, self._pending_bytes = [], 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard_bytes = None, 0
