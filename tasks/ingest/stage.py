"""The driver of ingest: files in, shards of one schema out, with an account of what could not be read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core.account import Account, Count
from tasks.core.digest import digest_code
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest, stage_key
from tasks.core.stage import Placement, UnitRecord, UnitResult, Workshop, map_units, publish, unchanged
from tasks.ingest.config import IngestParams
from tasks.ingest.formats import format_of
from tasks.ingest.ids import IdShard, require_unique
from tasks.ingest.raw import RawListing, read_listing
from tasks.ingest.read import SourceFile
from tasks.ingest.unit import UnitArgs, read_unit

STAGE = "ingest"
CODE = ("tasks.core", "tasks.ingest")
# A unit of text files holds at most so many: a guess that keeps a unit to seconds.
_MAX_FILES = 4096


def run(params: IngestParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Read every input file into documents of one schema; what cannot be read is set aside with place and reason."""
    listing = read_listing(inputs["raw"])
    digests, values, code = {"raw": listing.digest}, params.model_dump(mode="json"), digest_code(CODE)
    if found := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code):
        workshop.observer.say("ingest: unchanged (same inputs, params and code), taken as it is")
        return found
    groups = list(_groups(listing, inputs["raw"], params.target_shard_bytes))
    units = [(_key(files, params, code), UnitArgs(files, params)) for files in groups]
    records = map_units(workshop, stage=STAGE, label="ingest", work=work, units=units, packages=CODE)
    account = sum((record.account for record in records if record.account), Account())
    summary = _summary(records)
    _require_readable(account, summary, params)
    shards = [
        (files[0], record.file(name)) for files, record in zip(groups, records, strict=True) for name in _shards(record)
    ]
    require_unique([IdShard(_label(file), shard.source) for file, shard in shards])
    if lost := sum(count.documents for count in account.quarantined.values()):
        reasons = ", ".join(f"{reason} {count.documents:,}" for reason, count in sorted(account.quarantined.items()))
        workshop.observer.say(f"ingest: {lost:,} of {account.taken.documents:,} records quarantined: {reasons}")
    return publish(
        output,
        _published([shard for _, shard in shards], records),
        lambda files: Manifest(STAGE, digests, values, code, files, account, summary),
    )


def work(args: UnitArgs, folder: Path) -> UnitResult:
    """Do one unit in a worker."""
    account, summary = read_unit(args, folder)
    return UnitResult(account, summary)


def _groups(listing: RawListing, folder: Path, target_bytes: int) -> Iterator[tuple[SourceFile, ...]]:
    """Yield the files of each unit: one container file, or neighbouring text files of a source up to a shard's size."""
    group: list[SourceFile] = []
    num_bytes = 0
    for raw in listing.files:
        file = SourceFile(raw.name, raw.source, raw.location(folder), raw.digest)
        full = num_bytes + raw.bytes > target_bytes or len(group) == _MAX_FILES
        if group and (full or not _together(group[-1], file)):
            yield tuple(group)
            group, num_bytes = [], 0
        group.append(file)
        num_bytes += raw.bytes
    yield tuple(group)


def _together(left: SourceFile, right: SourceFile) -> bool:
    kinds = {format_of(left.name).kind, format_of(right.name).kind}
    return kinds == {"text"} and left.source == right.source


def _key(files: Sequence[SourceFile], params: IngestParams, code: str) -> str:
    """Return a unit's identity: what the files are called and hold, not where they lie."""
    named = {f"{number}:{file.source}:{file.name}": file.digest for number, file in enumerate(files)}
    return stage_key(f"{STAGE}.read", named, params.model_dump(mode="json", exclude={"max_quarantined_fraction"}), code)


def _shards(record: UnitRecord) -> list[str]:
    return [file.path for file in record.files if file.path.startswith("documents-")]


def _published(documents: Sequence[Placement], records: Sequence[UnitRecord]) -> dict[str, Placement]:
    refused = [
        record.file(file.path) for record in records for file in record.files if file.path.startswith("quarantined-")
    ]
    return {f"documents/{number:05}.parquet": shard for number, shard in enumerate(documents)} | {
        f"quarantined/{number:05}.parquet": shard for number, shard in enumerate(refused)
    }


def _label(file: SourceFile) -> str:
    return f"{file.source} ({file.name})"


def _summary(records: Sequence[UnitRecord]) -> dict[str, Any]:
    """Return documents and text bytes per source, and per reason the count and the first places."""
    sources: dict[str, Count] = {}
    quarantined: dict[str, dict[str, Any]] = {}
    for record in records:
        for source, count in record.summary["sources"].items():
            sources[source] = sources.get(source, Count()) + Count(**count)
        for reason, found in record.summary["quarantined"].items():
            known = quarantined.setdefault(reason, {"documents": 0, "first": []})
            known["documents"] += found["documents"]
            known["first"] = (known["first"] + found["first"])[:3]
    return {
        "sources": {source: vars(count) for source, count in sorted(sources.items())},
        "quarantined": {reason: quarantined[reason] for reason in sorted(quarantined)},
    }


def _require_readable(account: Account, summary: Mapping[str, Any], params: IngestParams) -> None:
    """Refuse an input of which too much, or all, was set aside.

    Raises:
        DataError: the counts per reason, with the first places of each.
    """
    lost = account.taken.documents - account.kept.documents
    fraction = lost / account.taken.documents
    if account.kept.documents and fraction <= params.max_quarantined_fraction:
        return
    lines = [
        f"  {reason}: {found['documents']:,}; first: {found['first'][0]}"
        for reason, found in summary["quarantined"].items()
    ]
    raise DataError(
        f"{lost:,} of {account.taken.documents:,} records ({fraction:.1%}) cannot become documents, the limit "
        f"(ingest.max_quarantined_fraction) is {params.max_quarantined_fraction:.1%}:\n" + "\n".join(lines) + "\n"
        "Mend or leave out these files, name the right fields (ingest.text_field, ...), or raise the limit."
    )
