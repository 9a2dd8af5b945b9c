"""The work of the stage `toy`: one unit per shard."""

from collections import Counter
from dataclasses import dataclass

import pyarrow.parquet as pq
from tasks.toy.config import ToyParams

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult


@dataclass(frozen=True)
class CountArgs:
    """A shard of documents, and which of them are counted."""

    shard: Handle
    params: ToyParams


def count(args: CountArgs, here: Here) -> UnitResult:
    """Count the documents of a shard by source."""
    rows = pq.read_table(args.shard.local(), columns=["source", "text"]).to_pylist()
    return UnitResult(summary=Counter(row["source"] for row in rows if len(row["text"]) >= args.params.min_characters))
