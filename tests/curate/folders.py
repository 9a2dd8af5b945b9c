"""An ingest folder as curate finds it, and a workshop to run in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.executors import Executor
from infra.storage import FolderStore
from tasks.core.account import Account, Count
from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.ingest.published.documents import DOCUMENT
from tasks.ingest.published.sources import Sources
from tasks.runtime.context import Workshop
from tests.in_process import InProcess

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
    path = Sources(sources={row["source"]: count for row in every}).write(folder)
    records.append(FileRecord(path.name, digest_file(path), path.stat().st_size))
    Manifest(stage, {}, {}, "code", tuple(records), Account(count, count)).write(folder)
    return folder


def workshop(folder: Path, executor: Executor | None = None) -> Workshop:
    return Workshop(executor or InProcess(), FolderStore(folder / "store"))


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of kept/, dropped/ or annotations/, in the order of shards."""
    tables = [pq.read_table(path) for path in sorted((folder / kind).glob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]
