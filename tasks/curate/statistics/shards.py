"""Shards of documents: reading the columns a unit needs, writing tables so that the same rows give the same bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.errors import DataError


@dataclass(frozen=True)
class TextSource:
    """A shard of documents whose texts were changed by earlier steps.

    `steps` are (name, Parquet file with the shard's rows and a column `text`, null where the step left a text as it
    was). The last step that changed a text has the last word.
    """

    documents: Path
    steps: tuple[tuple[str, Path], ...] = ()

    def then(self, step: str, path: Path) -> "TextSource":
        """Return this source after one more step."""
        return TextSource(self.documents, (*self.steps, (step, path)))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the shard (None: all of them), with the texts as they are after every step.

        Raises:
            DataError: a file is not Parquet, lacks a column, or has other rows than the shard.
        """
        table = read_shard(self.documents, columns)
        if "text" not in table.column_names:
            return table
        text = table["text"]
        for _, overlay in self.overlays(table.num_rows):
            text = pc.coalesce(overlay, text)
        return table.set_column(table.column_names.index("text"), "text", text)

    def overlays(self, rows: int) -> Iterator[tuple[str, pa.ChunkedArray]]:
        """Yield (step, its texts, null where it changed nothing) over a shard of so many rows.

        Raises:
            DataError: a step has another number of rows.
        """
        for step, path in self.steps:
            overlay = read_shard(path, ("text",))["text"]
            if len(overlay) != rows:
                raise DataError(f"{path}: {len(overlay):,} rows, {self.documents} has {rows:,}. Run curate again.")
            yield step, overlay


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns of a shard (None: all of them).

    Raises:
        DataError: the file is not Parquet or lacks a column; names those it has.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns or () if column not in names]:
                raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}. Run ingest again.")
            return file.read(None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}. Run ingest again.") from error


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, zstd level 3."""
    pq.write_table(table, path, compression="zstd", compression_level=3)
