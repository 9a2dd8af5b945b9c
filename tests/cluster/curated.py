"""Small curated folders for the tests of cluster and tokenize, in the schema that curate publishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.account import Account, Count
from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.rng import generator
from tasks.ingest.published.documents import DOCUMENT

_PROSE = "river mountain morning quiet garden letter winter village silver window story evening summer bread"
_CODE = "def self return import class lambda yield raise except assert { } ( ) [ ] = == ; # += /* */"
_LEGAL = "hereby licensee warranty liability damages clause pursuant copyright indemnify agreement herein"
WORDS = {"prose": _PROSE.split(), "code": _CODE.split(), "legal": _LEGAL.split()}


@dataclass(frozen=True)
class Row:
    """One kept document."""

    id: str
    text: str
    source: str
    quality: float = 1.0
    duplicate_cluster: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


def three_kinds(per_kind: int = 150, seed: int = 0) -> list[Row]:
    """Documents of three obviously different kinds, in a shuffled order."""
    random = generator(seed, "three-kinds")
    rows = [
        Row(f"{kind}-{number}", " ".join(random.choice(words, size=random.integers(30, 80))), kind)
        for kind, words in WORDS.items()
        for number in range(per_kind)
    ]
    return [rows[position] for position in random.permutation(len(rows))]


def write_curated(folder: Path, shards: Sequence[Sequence[Row]]) -> Path:
    """Write shards of kept documents with a manifest, as curate publishes them."""
    (folder / "kept").mkdir(parents=True)
    records = []
    for number, rows in enumerate(shards):
        path = folder / "kept" / f"{number:05d}.parquet"
        pq.write_table(_table(rows), path, compression="zstd", compression_level=3)
        records.append(FileRecord(f"kept/{path.name}", digest_file(path), path.stat().st_size))
    taken = Count(sum(map(len, shards)), sum(len(row.text.encode()) for rows in shards for row in rows))
    Manifest("curate", {}, {}, "0" * 64, tuple(records), Account(taken, taken)).write(folder)
    return folder


def _table(rows: Sequence[Row]) -> pa.Table:
    extra = sorted({name for row in rows for name in row.scores})
    document = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "text": pa.array([row.text for row in rows], pa.large_string()),
        "source": pa.array([row.source for row in rows], pa.string()),
        "url": pa.nulls(len(rows), pa.string()),
        "lang": pa.nulls(len(rows), pa.string()),
        "metadata": pa.nulls(len(rows), pa.string()),
    }
    columns = {
        "quality": pa.array(np.array([row.quality for row in rows], dtype=np.float64)),
        "duplicate_cluster": pa.array([row.duplicate_cluster or row.id for row in rows], pa.string()),
    }
    columns["pretokens"] = pa.array([len(row.text.split()) for row in rows], pa.int64())
    columns |= {name: pa.array([row.scores.get(name) for row in rows], pa.float64()) for name in extra}
    table = pa.table(document, schema=DOCUMENT)
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table
