"""One unit of ingest: some files of one source become shards of documents and a list of what was set aside."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.formats import format_of
from tasks.ingest.read import SourceFile, read_records
from tasks.ingest.records import Document, Record, Refusal, document_of
from tasks.ingest.schema import DOCUMENT, QUARANTINED
from tasks.ingest.shards import ShardWriter

# So many places of each reason are told in the summary; all of them are in the quarantined shard.
_EXAMPLES = 3


@dataclass(frozen=True)
class UnitArgs:
    """The files of one unit, in order, and the params."""

    files: tuple[SourceFile, ...]
    params: IngestParams


@dataclass
class _Tally:
    """Counts while reading. Taken is counted where records are read, kept and quarantined where they are written."""

    taken: Count = field(default_factory=Count)
    kept: Count = field(default_factory=Count)
    quarantined: dict[str, Count] = field(default_factory=dict)
    sources: dict[str, Count] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def keep(self, document: Document) -> None:
        self.kept += Count(1, document.record_bytes)
        self.sources[document.source] = self.sources.get(document.source, Count()) + Count(1, document.text_bytes)

    def refuse(self, name: str, refusal: Refusal) -> None:
        count = self.quarantined.get(refusal.reason, Count())
        self.quarantined[refusal.reason] = count + Count(1, refusal.bytes)
        places = self.places.setdefault(refusal.reason, [])
        if len(places) < _EXAMPLES:
            places.append(f"{name} at {refusal.offset:,}: {refusal.detail}")


def read_unit(args: UnitArgs, folder: Path) -> tuple[Account, dict[str, Any]]:
    """Write the files' documents and refusals into `folder`.

    Returns the account (raw bytes of records) and a summary: documents and text bytes per source, count and first
    places per reason.

    Raises:
        DataError: a file cannot be read, is damaged, changed since it was listed, or holds no record at all.
    """
    tally = _Tally()
    with (
        ShardWriter(folder, "documents", DOCUMENT, args.params.target_shard_bytes) as documents,
        ShardWriter(folder, "quarantined", QUARANTINED, None) as quarantined,
    ):
        for file in args.files:
            for made in _made(file, args.params, tally):
                if isinstance(made, Document):
                    documents.add(_row(made), made.text_bytes)
                    tally.keep(made)
                else:
                    quarantined.add({"file": file.name, **asdict(made)}, len(made.detail))
                    tally.refuse(file.name, made)
    account = Account(tally.taken, tally.kept, {}, tally.quarantined).closed(
        ", ".join(file.name for file in args.files[:3])
    )
    if (documents.rows, quarantined.rows) != (tally.kept.documents, tally.taken.documents - tally.kept.documents):
        raise AssertionError("rows written differ from rows counted")
    return account, _summary(tally)


def _made(file: SourceFile, params: IngestParams, tally: _Tally) -> Iterator[Document | Refusal]:
    is_text, number = format_of(file.name).kind == "text", 0
    for record in read_records(file, params):
        tally.taken += Count(1, record.bytes)
        if isinstance(record, Record):
            derived_id = file.name if is_text else f"{file.digest[:12]}-{number}"
            yield document_of(record, derived_id=derived_id, source=file.source, params=params)
        else:
            yield record
        number += 1
    if not number:
        raise DataError(
            f"{file.location}: no records in it, the source is empty. Leave it out, or name the right file."
        )


def _row(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in DOCUMENT.names}


def _summary(tally: _Tally) -> dict[str, Any]:
    return {
        "sources": {source: vars(count) for source, count in sorted(tally.sources.items())},
        "quarantined": {
            reason: {"documents": tally.quarantined[reason].documents, "first": places}
            for reason, places in sorted(tally.places.items())
        },
    }
