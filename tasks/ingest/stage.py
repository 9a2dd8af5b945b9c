"""The driver of ingest: files in, shards of one schema out, with an account of what could not be read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tasks.core.account import Account
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.ingest.budget import (
    empty_sources,
    passed_over,
    refused_files,
    require_known,
    require_readable,
    summed,
    told,
)
from tasks.ingest.config import IngestParams
from tasks.ingest.formats import OF_PAGES, WHOLE
from tasks.ingest.ids import IdShard, require_unique
from tasks.ingest.pages import read_pages
from tasks.ingest.published.documents import DOCUMENTS, DROPPED, QUARANTINED
from tasks.ingest.published.sources import Sources
from tasks.ingest.raw import RawListing, read_listing
from tasks.ingest.read import SourceFile
from tasks.ingest.unit import UnitArgs, read_unit
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageRun
from tasks.runtime.step import Step

STAGE = "ingest"
READ = Step("ingest.read", "ingest: records", read_unit, blocks=True)
# Apart from the others: what becomes of pages depends on the extractor, its code and its libraries.
PAGES = Step("ingest.pages", "ingest: pages", read_pages, blocks=True)
# A unit of text or HTML files holds at most so many: a guess that keeps a unit to seconds.
_MAX_FILES = 4096


def run(params: IngestParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Read every input file into documents of one schema; what cannot be read is set aside with place and reason."""
    listing = read_listing(inputs["raw"])
    stage = StageRun(workshop, STAGE, __name__, params, {"raw": listing.digest}, output)
    if (found := stage.unchanged()) is not None:
        return found
    require_known(listing.files, params)
    groups = list(_groups(listing, inputs["raw"], params.target_shard_bytes))
    records = _records(groups, params, workshop)
    account = sum((record.account for record in records if record.account), Account())
    units_told = [record.summary for record in records]
    summary = summed(units_told) | {
        "refused_files": refused_files(account, listing),
        "passed_over": passed_over(listing),
        "empty_sources": empty_sources(groups, units_told),
    }
    require_readable(account, units_told, summary, params)
    shards = [
        (files[0], shard)
        for files, record in zip(groups, records, strict=True)
        for shard in record.tree.under(f"{DOCUMENTS}-")
    ]
    require_unique([IdShard(_label(file), shard.local()) for file, shard in shards])
    for sentence in told(account, summary):
        workshop.observer.say(f"ingest: {sentence}")
    files: dict[str, Content] = {**_published([shard for _, shard in shards], records)}
    files[Sources.FILE] = Sources(sources=summary["sources"])
    return stage.publish(files, account=account, summary=summary)


def _records(groups: Sequence[tuple[SourceFile, ...]], params: IngestParams, workshop: Workshop) -> list[UnitRecord]:
    """Return the record of each unit."""
    set_aside = params.max_damaged_files > 0
    of_pages = [any(file.format.kind in OF_PAGES for file in files) for files in groups]
    found = {}
    for step, pages in ((READ, False), (PAGES, True)):
        reading = params.reading(pages=pages)
        chosen = [files for files, own in zip(groups, of_pages, strict=True) if own is pages]
        found[pages] = iter(step.map(workshop, [UnitArgs(files, reading, set_aside) for files in chosen]))
    return [next(found[pages]) for pages in of_pages]


def _groups(listing: RawListing, folder: Path, target_bytes: int) -> Iterator[tuple[SourceFile, ...]]:
    """Yield the files of each unit: one container, or neighbouring whole-file documents of a source up to a shard's size."""
    group: list[SourceFile] = []
    num_bytes = 0
    for raw in listing.files:
        file = SourceFile(raw.name, raw.source, raw.location(folder), raw.digest, raw.bytes, raw.format)
        full = num_bytes + raw.bytes > target_bytes or len(group) == _MAX_FILES
        if group and (full or not _together(group[-1], file)):
            yield tuple(group)
            group, num_bytes = [], 0
        group.append(file)
        num_bytes += raw.bytes
    yield tuple(group)


def _together(left: SourceFile, right: SourceFile) -> bool:
    kinds = {left.format.kind, right.format.kind}
    return len(kinds) == 1 and kinds <= WHOLE and left.source == right.source


def _published(documents: Sequence[Handle], records: Sequence[UnitRecord]) -> dict[str, Handle]:
    published = {f"{DOCUMENTS}/{number:05}.parquet": shard for number, shard in enumerate(documents)}
    for kind in (QUARANTINED, DROPPED):
        refused = [shard for record in records for shard in record.tree.under(f"{kind}-")]
        published |= {f"{kind}/{number:05}.parquet": shard for number, shard in enumerate(refused)}
    return published


def _label(file: SourceFile) -> str:
    return f"{file.source} ({file.name})"
