"""Assignments: one file per shard of kept documents, under its name, with one row per document in the shard's order."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tasks.core.tables import read_table, write_table

ASSIGNMENTS = "assignments"
# `domain` is the index of the domain, -1 of a document that was pruned, whose `split` is ""; `kmeans_cluster` is null where
# domains were not found but brought.
SCHEMA = pa.schema(
    [("id", pa.string()), ("kmeans_cluster", pa.int32()), ("domain", pa.int32()), ("split", pa.string())]
)


def write_assignments(table: pa.Table, path: Path) -> None:
    """Write the assignments of a shard."""
    write_table(table.cast(SCHEMA), path)


def read_assignments(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns (None: all) of the assignments of a shard.

    Raises:
        DataError: the file is not Parquet or lacks a column; names those it has.
    """
    return read_table(path, columns, stage="cluster")
