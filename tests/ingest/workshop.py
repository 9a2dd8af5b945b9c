"""What the tests of ingest share: a workshop in this process, inputs of every format, and what was published."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from infra.progress import SilentObserver
from infra.storage import FolderStore
from tasks.core.account import Account
from tasks.core.digest import digest_file
from tasks.core.manifest import Manifest
from tasks.core.results import Blocks, Here, NoBlocks
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.pages import read_pages
from tasks.ingest.raw import write_listing
from tasks.ingest.read import SourceFile
from tasks.ingest.recognition import HEAD_BYTES, recognised
from tasks.ingest.stage import run
from tasks.ingest.unit import UnitArgs
from tasks.runtime.context import Workshop
from tests.in_process import InProcess

CONTAINERS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")


def workshop(folder: Path) -> Workshop:
    return Workshop(InProcess(), FolderStore(folder / "store"), SilentObserver())


def ingest(inputs: Sequence[Path], home: Path, params: IngestParams | None = None) -> Manifest:
    """List the inputs and run the stage into `home/ingest`."""
    write_listing(list_inputs([str(path) for path in inputs], params), home / "raw")
    return run(params or IngestParams(), inputs={"raw": home / "raw"}, output=home / "ingest", workshop=workshop(home))


def read_files(args: UnitArgs, folder: Path, blocks: Blocks | None = None) -> tuple[Account, Mapping[str, Any]]:
    """Do one unit of ingest into a folder."""
    result = read_pages(args, Here(folder, blocks=blocks or NoBlocks()))
    assert result.account is not None
    return result.account, result.summary


def rows(folder: Path, kind: str = "documents") -> list[dict[str, Any]]:
    return [row for path in sorted((folder / kind).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def source_file(path: Path, source: str = "source") -> SourceFile:
    data = path.read_bytes()[:HEAD_BYTES]
    chosen = recognised(path.name, data, whole=path.stat().st_size == len(data))
    return SourceFile(path.name, source, str(path), digest_file(path), path.stat().st_size, chosen)


def json_lines(records: Sequence[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """Write records in the format of the path's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(records)), path)
        return path
    data = json_lines(records)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path


def documents(count: int, prefix: str = "d") -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{number}", "text": f"the text of {prefix} number {number}"} for number in range(count)]
