"""An ingest folder as curate finds it, and a workshop to run in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.executors import Call, Executor
from infra.storage import AttemptStore
from tasks.core.account import Account, Count
from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.stage import Workshop
from tasks.ingest.schema import DOCUMENT

Document = dict[str, Any]


def document(name: str, text: str, source: str = "docs", lang: str | None = "en") -> Document:
    return {"id": name, "text": text, "source": source, "url": None, "lang": lang, "metadata": None}


def ingest_folder(folder: Path, shards: Sequence[Sequence[Document]], stage: str = "ingest") -> Path:
    records = []
    (folder / "documents").mkdir(parents=True)
    for number, documents in enumerate(shards):
        path = folder / "documents" / f"{number:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(list(documents), DOCUMENT), path)
        records.append(FileRecord(f"documents/{path.name}", digest_file(path), path.stat().st_size))
    every = [row for documents in shards for row in documents]
    count = Count(len(every), sum(len(row["text"].encode()) for row in every))
    sources = {row["source"]: vars(count) for row in every}
    Manifest(stage, {}, {}, "code", tuple(records), Account(count, count), {"sources": sources}).write(folder)
    return folder


class InProcess:
    """Runs units in this process, the last one first, and notes what each of them does."""

    workers = 1

    def __init__(self) -> None:
        self.done: list[str] = []

    def map(self, function: Call, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(items))):
            self.done.append(items[index].work.__name__)
            yield index, function(items[index])

    def map_distributed(self, *_: Any) -> Iterator[tuple[int, None]]:
        raise AssertionError("curate has no units that several processes share")


def workshop(folder: Path, executor: Executor | None = None) -> Workshop:
    return Workshop(executor or InProcess(), AttemptStore(folder / "store"))


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of kept/, dropped/ or annotations/, in the order of shards."""
    tables = [pq.read_table(path) for path in sorted((folder / kind).glob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]
