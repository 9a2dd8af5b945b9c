"""The kinds of files, and what a name says about one. What a file holds decides (`recognition`); the name is a hint."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["arc", "csv", "html", "json", "jsonl", "parquet", "tar", "text", "unknown", "warc", "zip"]
Compression = Literal["bzip2", "gzip", "xz", "zstd"]

_COMPRESSIONS: dict[str, Compression] = {
    ".bz2": "bzip2",
    ".gz": "gzip",
    ".xz": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
}
_SHORT = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}
_KINDS: dict[str, Kind] = {
    ".arc": "arc",
    ".csv": "csv",
    ".htm": "html",
    ".html": "html",
    ".jl": "jsonl",
    ".json": "json",
    ".jsonl": "jsonl",
    ".jsonlines": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".tab": "csv",
    ".tar": "tar",
    ".tsv": "csv",
    ".warc": "warc",
    ".wat": "warc",
    ".wet": "warc",
    ".xhtml": "html",
    ".zip": "zip",
}
# A whole file is one document.
WHOLE: frozenset[Kind] = frozenset({"html", "text"})
ARCHIVES: frozenset[Kind] = frozenset({"tar", "zip"})
# Kinds that may hold web pages: what becomes of these depends on the extractor's version.
OF_PAGES: frozenset[Kind] = frozenset({"arc", "html", "tar", "warc", "zip"})


@dataclass(frozen=True)
class Format:
    """How a file is read. Of an unknown kind `looks_like` says what it seems to be."""

    kind: Kind
    compression: Compression | None = None
    looks_like: str = ""


@dataclass(frozen=True)
class Hint:
    """What a name says: a kind or None, a compression or None, the suffix of what is inside, the name without these."""

    kind: Kind | None
    compression: Compression | None
    suffix: str
    stem: str


def hint_of(name: str) -> Hint:
    """Return what the name of a file says about it. A suffix without a letter is none: it numbers shards.

    >>> hint_of("news/part-000.jsonl.zst")
    Hint(kind='jsonl', compression='zstd', suffix='.jsonl', stem='part-000')
    >>> hint_of("crawl.tgz")
    Hint(kind='tar', compression='gzip', suffix='.tar', stem='crawl')
    >>> hint_of("src/main.c").kind, hint_of("part.00001").suffix
    (None, '')
    """
    path = PurePosixPath(name)
    if long := _SHORT.get(path.suffix.lower()):
        path = path.with_suffix(long)
    compression = _COMPRESSIONS.get(path.suffix.lower())
    inner = path.with_suffix("") if compression else path
    suffix = inner.suffix.lower() if any(map(str.isalpha, inner.suffix)) else ""
    kind = _KINDS.get(suffix)
    stem = inner.stem if suffix else inner.name
    # `x.warc.wet.gz` of Common Crawl: the suffix before says the same.
    stem = PurePosixPath(stem).stem if kind == "warc" and stem.lower().endswith(".warc") else stem
    return Hint(kind, compression, suffix, stem)
