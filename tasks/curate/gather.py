"""Small shards together: hundreds of small sources are curated as few shards, not as a unit per source and step.

Every step has a unit per shard, and a unit costs some milliseconds however little is in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tasks.core.manifest import FileRecord
from tasks.core.stage import UnitResult
from tasks.core.tables import read_table, write_table

# Compressed. All steps together cost about 40 ms of CPU a shard, and 100 ms for each of these.
SMALL_BYTES = 1 << 18
GATHERED_BYTES = 1 << 20


@dataclass(frozen=True)
class GatherArgs:
    """Shards of documents, in their order; what is made of them is called as the first one."""

    shards: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The name of the file that holds them all."""
        return self.shards[0].name


def neighbours(records: Sequence[FileRecord]) -> Iterable[tuple[FileRecord, ...]]:
    """Yield shards that are curated as one: neighbours that are small, as many as are no longer small together.

    What goes together follows from the sizes and the order of the files alone.
    """
    together: list[FileRecord] = []
    for record in records:
        full = sum(one.bytes for one in together) + record.bytes > GATHERED_BYTES
        if together and (full or max(together[-1].bytes, record.bytes) >= SMALL_BYTES):
            yield tuple(together)
            together = []
        together.append(record)
    if together:
        yield tuple(together)


def gather_shards(args: GatherArgs, folder: Path) -> UnitResult:
    """Write the documents of several shards as one, in their order."""
    documents = pa.concat_tables([read_table(shard) for shard in args.shards]).combine_chunks()
    write_table(documents, folder / args.name)
    return UnitResult(summary={"documents": documents.num_rows})
