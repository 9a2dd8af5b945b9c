"""A unit: a combined score of every document. It reads columns of scores and no text."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table
from tasks.curate.combined import kinds
from tasks.curate.combined.kinds import Combined
from tasks.curate.published.documents import write_scores


@dataclass(frozen=True)
class ShardScores:
    """The tables of scores of a shard, and that of its statistics (None: they do not matter)."""

    scores: tuple[Handle, ...]
    statistics: Handle | None


@dataclass(frozen=True)
class CombineArgs:
    """A combined score, and what it is made of, of all shards."""

    config: Combined
    shards: tuple[ShardScores, ...]


def combine(args: CombineArgs, here: Here) -> UnitResult:
    """Write, per shard, the combined score of every document; the summary says how many have none."""
    config = args.config
    tables = [_table(shard, tuple(config.weights)) for shard in args.shards]
    every = pa.concat_tables(tables)
    scores = {name: np.asarray(every[name].to_numpy(), np.float64) for name in config.weights}
    found = kinds.method(config).combine(config, scores, every["tokens_of_all"].to_numpy())
    first = 0
    for number, table in enumerate(tables):
        own = pa.array(found[first : first + table.num_rows])
        first += table.num_rows
        write_scores(
            table.select(["id", "source"]).append_column(config.name, own), here.folder / combined_file(number)
        )
    return UnitResult(summary={"documents": len(found), "without": int(np.isnan(found).sum())})


def combined_file(number: int) -> str:
    """Return the name of the table of a shard."""
    return f"scores-{number:06d}.parquet"


def _table(shard: ShardScores, columns: tuple[str, ...]) -> pa.Table:
    handles = shard.scores if shard.statistics is None else (*shard.scores, shard.statistics)
    tables = [read_table(one.local(), stage="curate") for one in handles]
    first = tables[0]
    sizes: Any = np.zeros(first.num_rows, np.int64) if shard.statistics is None else tables[-1]["pretokens"]
    found = {name: table[name] for table in tables for name in columns if name in table.column_names}
    return pa.table({"id": first["id"], "source": first["source"], "tokens_of_all": sizes, **found})
