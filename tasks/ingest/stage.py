"""The driver of ingest: files in, shards of one schema out, with an account of what could not be read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tasks.core.account import Account
from tasks.core.digest import digest_code
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import Blocks, Placement, UnitRecord, UnitResult, Workshop, map_block_units, publish, unchanged
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
from tasks.ingest.extraction.extract import versions
from tasks.ingest.formats import OF_PAGES, WHOLE
from tasks.ingest.ids import IdShard, require_unique
from tasks.ingest.raw import RawListing, read_listing
from tasks.ingest.read import SourceFile
from tasks.ingest.unit import UnitArgs, read_unit

STAGE = "ingest"
CODE = ("tasks.core", "tasks.ingest")
# A unit of text or HTML files holds at most so many: a guess that keeps a unit to seconds.
_MAX_FILES = 4096


def run(params: IngestParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Read every input file into documents of one schema; what cannot be read is set aside with place and reason."""
    listing = read_listing(inputs["raw"])
    digests, values, code = {"raw": listing.digest}, params.model_dump(mode="json"), digest_code(CODE)
    environment = _environment(listing, params)
    found = unchanged(output, stage=STAGE, inputs=digests, params=values, code=code)
    if found and found.environment == environment:
        workshop.observer.say("ingest: unchanged (same inputs, params and code), taken as it is")
        return found
    require_known(listing.files, params)
    groups = list(_groups(listing, inputs["raw"], params.target_shard_bytes))
    units = [(_key(files, params, code), UnitArgs(files, params)) for files in groups]
    records = map_block_units(workshop, stage=STAGE, label="ingest", work=work, units=units, packages=CODE)
    account = sum((record.account for record in records if record.account), Account())
    units_told = [record.summary for record in records]
    summary = summed(units_told) | {
        "refused_files": refused_files(account, listing),
        "passed_over": passed_over(listing),
        "empty_sources": empty_sources(groups, units_told),
    }
    require_readable(account, units_told, summary, params)
    shards = [
        (files[0], record.file(name))
        for files, record in zip(groups, records, strict=True)
        for name in _shards(record, "documents")
    ]
    require_unique([IdShard(_label(file), shard.source) for file, shard in shards])
    for sentence in told(account, summary):
        workshop.observer.say(f"ingest: {sentence}")
    return publish(
        output,
        _published([shard for _, shard in shards], records),
        lambda files: Manifest(STAGE, digests, values, code, files, account, summary, environment),
    )


def work(args: UnitArgs, folder: Path, blocks: Blocks) -> UnitResult:
    """Do one unit in a worker."""
    account, summary = read_unit(args, folder, blocks)
    return UnitResult(account, summary)


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


def _key(files: Sequence[SourceFile], params: IngestParams, code: str) -> str:
    """Return a unit's identity: what the files are called and hold, not where they lie; budgets change no unit."""
    named = {f"{number}:{file.source}:{file.name}:{file.format.kind}": file.digest for number, file in enumerate(files)}
    pages = any(file.format.kind in OF_PAGES for file in files)
    budgets = {"max_quarantined_fraction", "max_damaged_files", "link_roots"}
    values = params.model_dump(mode="json", exclude=budgets)
    # Without pages the extractor changes nothing.
    values["extraction"] = values["extraction"] | versions(params.extraction) if pages else None
    return stage_key(f"{STAGE}.read", named, values, code)


def _environment(listing: RawListing, params: IngestParams) -> dict[str, str]:
    """Return the versions of the libraries that decide the text of pages, where there may be any."""
    pages = any(file.format.kind in OF_PAGES for file in listing.files)
    return versions(params.extraction) if pages else {}


def _shards(record: UnitRecord, kind: str) -> list[str]:
    return [file.path for file in record.files if file.path.startswith(f"{kind}-")]


def _published(documents: Sequence[Placement], records: Sequence[UnitRecord]) -> dict[str, Placement]:
    published = {f"documents/{number:05}.parquet": shard for number, shard in enumerate(documents)}
    for kind in ("quarantined", "dropped"):
        refused = [record.file(name) for record in records for name in _shards(record, kind)]
        published |= {f"{kind}/{number:05}.parquet": shard for number, shard in enumerate(refused)}
    return published


def _label(file: SourceFile) -> str:
    return f"{file.source} ({file.name})"
