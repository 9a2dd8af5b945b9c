"""Kept documents beside the domain and split that cluster gave each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.cluster.published.assignments import read_assignments
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.curate.published.documents import KEPT, read_shard

# What is read of the assignments.
COLUMNS = ("id", "domain", "split")


@dataclass(frozen=True)
class AlignedPair:
    """A shard of kept documents, and the file that gives each of its rows a domain and a split."""

    shard: Handle
    assignments: Handle


def aligned(pair: AlignedPair, columns: Sequence[str]) -> pa.Table:
    """Return columns of a shard beside the domain and split of each row."""
    table = read_shard(pair.shard.local(), columns)
    assigned = assigned_to(pair.assignments, table["id"])
    return table.append_column("domain", assigned["domain"]).append_column("split", assigned["split"])


def assigned_to(assignments: Handle, ids: Any) -> pa.Table:
    """Return id, domain and split of every document of a shard, given its ids in order.

    Raises:
        DataError: the assignments are those of other documents.
    """
    assigned = read_assignments(assignments.local(), COLUMNS)
    if ids.to_pylist() != assigned["id"].to_pylist():
        raise DataError(
            f"{assignments.local()}: its {len(assigned):,} rows are not the {len(ids):,} documents of "
            f"{KEPT}/{assignments.stem}.parquet, in the same order. Run cluster again on this curate output."
        )
    return assigned
