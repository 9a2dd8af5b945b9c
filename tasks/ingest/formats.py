"""Which reader takes a file: decided by its name alone, so that the same listing always reads the same way."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["archive", "html", "jsonl", "parquet", "text", "warc"]
Compression = Literal["bzip2", "gzip", "xz", "zstd"]

_COMPRESSIONS: dict[str, Compression] = {
    ".bz2": "bzip2",
    ".gz": "gzip",
    ".xz": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
}
_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".warc": "warc",
    ".wet": "warc",
    ".tar": "archive",
    ".zip": "archive",
}
# A whole file is one document.
WHOLE: frozenset[Kind] = frozenset({"html", "text"})


@dataclass(frozen=True)
class Format:
    """The kind of a file, its compression, and its name without the suffixes that told so."""

    kind: Kind
    compression: Compression | None
    stem: str


@lru_cache(maxsize=1024)
def format_of(name: str) -> Format:
    """Return the format of a file by its name. Whatever is no known container is a text file: one document.

    >>> format_of("news/part-000.jsonl.zst")
    Format(kind='jsonl', compression='zstd', stem='part-000')
    >>> format_of("crawl.tgz")
    Format(kind='archive', compression='gzip', stem='crawl')
    >>> format_of("src/main.c")
    Format(kind='text', compression=None, stem='main')
    """
    path = PurePosixPath(name)
    if path.suffix.lower() == ".tgz":
        path = path.with_suffix(".tar.gz")
    compression = _COMPRESSIONS.get(path.suffix.lower())
    inner = path.with_suffix("") if compression else path
    kind = _KINDS.get(inner.suffix.lower(), "text")
    # `x.warc.wet.gz` of Common Crawl: the suffix before says the same.
    stem = PurePosixPath(inner.stem).stem if inner.stem.lower().endswith(".warc") and kind == "warc" else inner.stem
    return Format(kind, compression, stem)
