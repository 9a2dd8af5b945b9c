"""Small shards together: hundreds of small sources are curated as few shards, not as a unit per source and step.

Every step has a unit per shard, and a unit costs some milliseconds however little is in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table

# Compressed. All steps together cost about 40 ms of CPU a shard, and 100 ms for each of these.
SMALL_BYTES = 1 << 18
GATHERED_BYTES = 1 << 20
GATHERED = "documents.parquet"


@dataclass(frozen=True)
class GatherArgs:
    """Shards of documents, in their order."""

    shards: tuple[Handle, ...]


def neighbours(shards: Iterable[Handle]) -> Iterator[tuple[Handle, ...]]:
    """Yield shards that are curated as one: neighbours that are small, as many as are no longer small together.

    What goes together follows from the sizes and the order of the files alone.
    """
    together: list[Handle] = []
    for shard in shards:
        full = sum(one.bytes for one in together) + shard.bytes > GATHERED_BYTES
        if together and (full or max(together[-1].bytes, shard.bytes) >= SMALL_BYTES):
            yield tuple(together)
            together = []
        together.append(shard)
    if together:
        yield tuple(together)


def gather_shards(args: GatherArgs, here: Here) -> UnitResult:
    """Write the documents of several shards as one, in their order."""
    documents = pa.concat_tables([read_table(shard.local()) for shard in args.shards]).combine_chunks()
    write_table(documents, here.folder / GATHERED)
    return UnitResult(summary={"documents": documents.num_rows})
