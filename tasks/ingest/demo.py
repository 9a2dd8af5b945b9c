"""The input that every machine has: a sample of the text of its own Python installation, as eight sources.

Docstrings, the language reference that `pydoc` carries, READMEs, licences, code, tests, C headers and data files:
natural domains with real duplicates and boilerplate. Which files there are depends on the machine; hence the sample is
taken once and snapshotted. Nothing is imported: docstrings are read from the syntax tree.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from tasks.core.digest import digest_file
from tasks.ingest.formats import Format
from tasks.ingest.installation import Installed, Kind, installed_files
from tasks.ingest.raw import RawFile, RawListing, write_listing
from tasks.ingest.texts import SampleText, code_text, docstrings, long_description, reference_topics, whole_text

# No source may hold more of the whole than this, or the demo would be about one kind of text.
_MAX_SHARE = 1 / 6
# Fast and small enough; the level is part of the bytes, so it never changes without a reason.
_ZSTD_LEVEL = 6

Progress = Callable[[int, int], None]

_TEXTS_OF: dict[Kind, Callable[[Installed], Iterable[SampleText]]] = {
    "code": code_text,
    "data": whole_text,
    "docstrings": docstrings,
    "headers": whole_text,
    "licences": whole_text,
    "pydoc_topics": reference_topics,
    "readmes": long_description,
    "tests": code_text,
}


@dataclass(frozen=True)
class _Source:
    """What one source could give, in the order of sampling, up to its largest share."""

    kind: Kind
    samples: tuple[SampleText, ...]

    @property
    def bytes(self) -> int:
        return sum(sample.bytes for sample in self.samples)


def collect(folder: Path, max_bytes: int = 24_000_000, progress: Progress | None = None) -> RawListing:
    """Write the sample into `folder`, one `<source>.jsonl.zst` per source and their `raw.json`; return the listing.

    `max_bytes` bounds the UTF-8 bytes of text. Sources that have little give all; the others share the rest evenly.
    """
    files = installed_files()
    sources = []
    for number, kind in enumerate(sorted(_TEXTS_OF)):
        found = (sample for file in files[kind] for sample in _TEXTS_OF[kind](file))
        sources.append(_Source(kind, tuple(_first(found, int(max_bytes * _MAX_SHARE)))))
        if progress is not None:
            progress(number + 1, len(_TEXTS_OF))
    level = _level([source.bytes for source in sources], max_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    listing = RawListing(tuple(_write(source, level, folder) for source in sources if source.samples))
    write_listing(listing, folder)
    return listing


def _first(samples: Iterable[SampleText], max_bytes: int) -> Iterator[SampleText]:
    """Yield samples while they fit in `max_bytes`; the first one that does not ends it."""
    room = max_bytes
    for sample in samples:
        room -= sample.bytes
        if room < 0:
            return
        yield sample


def _level(sizes: Iterable[int], total: int) -> int:
    """Return the size to which larger sources are cut so that all together have at most `total`.

    >>> _level([10, 40, 40], 70)
    30
    """
    left = sorted(sizes)
    room = total
    while left:
        share = room // len(left)
        if left[0] > share:
            return share
        room -= left.pop(0)
    return total


def _write(source: _Source, max_bytes: int, folder: Path) -> RawFile:
    chosen = sorted(_first(source.samples, max_bytes), key=lambda sample: sample.id)
    lines = (json.dumps({"id": sample.id, "text": sample.text}, ensure_ascii=False) + "\n" for sample in chosen)
    path = folder / f"{source.kind}.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress("".join(lines).encode()))
    chosen_format = Format("jsonl", "zstd")
    return RawFile(source.kind, path.name, path.name, None, path.stat().st_size, digest_file(path), chosen_format)
