"""One listed file as records: the reader is chosen by the file's name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.formats import format_of
from tasks.ingest.readers.jsonl import read_jsonl
from tasks.ingest.readers.parquet import read_parquet
from tasks.ingest.readers.stream import decompressed, verified_blocks
from tasks.ingest.readers.text import read_text
from tasks.ingest.records import Record, Refusal


@dataclass(frozen=True)
class SourceFile:
    """A file to read: what it is called (name, source), where it lies, and what it must hold (SHA-256)."""

    name: str
    source: str
    location: str
    digest: str


def read_records(file: SourceFile, params: IngestParams) -> Iterator[Record | Refusal]:
    """Yield everything the file holds, in its order, as records and refusals.

    Raises:
        DataError: the file cannot be read, is damaged or truncated, or is not the one that was listed.
    """
    chosen = format_of(file.name)
    if chosen.kind == "parquet":
        if chosen.compression:
            raise DataError(f"{file.location}: a Parquet file inside {chosen.compression}. Unpack it first.")
        limit = params.max_document_bytes
        yield from read_parquet(file.location, file.digest, text_field=params.text_field, max_bytes=limit)
        return
    blocks = decompressed(verified_blocks(file.location, file.digest), chosen.compression, file.location)
    match chosen.kind:
        case "jsonl":
            yield from read_jsonl(blocks, params.max_document_bytes)
        case "text":
            yield from read_text(blocks, text_field=params.text_field, max_bytes=params.max_document_bytes)
        case _:
            assert_never(chosen.kind)
