"""Which reader takes a file: decided by its name alone, so that the same listing always reads the same way."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["jsonl", "parquet", "text"]
Compression = Literal["gzip", "zstd"]

_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_KINDS: dict[str, Kind] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True)
class Format:
    """The kind of a file, its compression, and its name without the suffixes that told so."""

    kind: Kind
    compression: Compression | None
    stem: str


def format_of(name: str) -> Format:
    """Return the format of a file by its name. Whatever is no known container is a text file: one document.

    >>> format_of("news/part-000.jsonl.zst")
    Format(kind='jsonl', compression='zstd', stem='part-000')
    >>> format_of("src/main.c")
    Format(kind='text', compression=None, stem='main')
    """
    path = PurePosixPath(name)
    compression = _COMPRESSIONS.get(path.suffix.lower())
    inner = path.with_suffix("") if compression else path
    return Format(_KINDS.get(inner.suffix.lower(), "text"), compression, inner.stem)
