"""One listed file as records: the reader is chosen by the file's name."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.damage import DamagedFileError, NoTextColumnError
from tasks.ingest.formats import Format, format_of
from tasks.ingest.places import opened
from tasks.ingest.readers.archive import Member, content, held, read_tar, read_zip
from tasks.ingest.readers.jsonl import read_jsonl
from tasks.ingest.readers.members import GzipMembers, Members, WholeFile
from tasks.ingest.readers.parquet import read_parquet, rows_of
from tasks.ingest.readers.stream import EXPANSION_FLOOR, decompressed, verified_blocks
from tasks.ingest.readers.text import read_html, read_text
from tasks.ingest.readers.warc import read_warc
from tasks.ingest.records import Page, Record, Refusal

Found = Record | Page | Refusal


@dataclass(frozen=True)
class SourceFile:
    """A file to read: what it is called (name, source), where it lies, and what it must hold (SHA-256, size)."""

    name: str
    source: str
    location: str
    digest: str
    bytes: int


@dataclass(frozen=True)
class Start:
    """Where in a file to begin: so many of its records are behind us, and the next one of a JSONL file begins there."""

    number: int = 0
    offset: int = 0


def read_records(file: SourceFile, params: IngestParams, start: Start = Start()) -> Iterator[Found]:
    """Yield everything the file holds from `start` on, in its order, as records, pages and refusals.

    Raises:
        DataError: the file cannot be read, is damaged or truncated, or is not the one that was listed.
    """
    chosen = format_of(file.name)
    match chosen.kind:
        case "parquet":
            if chosen.compression:
                raise DataError(f"{file.location}: a Parquet file inside {chosen.compression}. Unpack it first.")
            yield from read_parquet(
                file.location,
                file.digest,
                text_field=params.text_field,
                max_bytes=params.max_document_bytes,
                max_expansion=params.max_expansion,
                skip=start.number,
            )
        case "archive":
            yield from islice(_archive(file, chosen, params), start.number, None)
        case "jsonl" | "text" | "html" | "warc":
            blocks = verified_blocks(file.location, file.digest)
            yield from _from(blocks, chosen, file.location, params, start)
            # A reader may stop early, where nothing more can be found: the rest counts for the digest too.
            for _ in blocks:
                pass
        case _:
            assert_never(chosen.kind)


def _from(
    blocks: Iterator[bytes], chosen: Format, location: str, params: IngestParams, start: Start
) -> Iterator[Found]:
    limit = params.max_document_bytes
    if chosen.kind == "warc":
        yield from islice(read_warc(_members(blocks, chosen, location, params), params), start.number, None)
        return
    plain = _plain(blocks, chosen, location, params)
    if chosen.kind == "jsonl":
        yield from read_jsonl(plain, limit, start.offset)
    elif chosen.kind == "html":
        yield from islice(read_html(plain, max_bytes=limit), start.number, None)
    else:
        yield from islice(read_text(plain, text_field=params.text_field, max_bytes=limit), start.number, None)


def _members(blocks: Iterator[bytes], chosen: Format, location: str, params: IngestParams) -> Members:
    if chosen.compression == "gzip":
        return GzipMembers(blocks, params.max_expansion)
    return WholeFile(_plain(blocks, chosen, location, params))


def _plain(blocks: Iterator[bytes], chosen: Format, location: str, params: IngestParams) -> Iterator[bytes]:
    return decompressed(blocks, chosen.compression, location, params.max_expansion, params.max_zstd_window_bytes)


def _archive(file: SourceFile, chosen: Format, params: IngestParams) -> Iterator[Found]:
    blocks = verified_blocks(file.location, file.digest)
    if file.name.lower().endswith(".zip"):
        for _ in blocks:
            pass
        with opened(file.location) as stream:
            for member in read_zip(stream, file.location, params.max_expansion, EXPANSION_FLOOR):
                yield from _inner(member, file, params)
        return
    plain = _plain(blocks, chosen, file.location, params)
    for member in read_tar(plain, file.location):
        yield from _inner(member, file, params)
    for _ in plain:
        pass


def _inner(member: Member | Refusal, file: SourceFile, params: IngestParams) -> Iterator[Found]:
    """Yield what one file of an archive holds; a damaged one is one refusal, as if it were a record."""
    if isinstance(member, Refusal):
        yield member
        return
    chosen, name = format_of(member.name), f"{file.name}/{member.name}"
    if chosen.kind == "archive":
        yield Refusal(member.offset, member.bytes, "nested_archive", f"{member.name[:100]!a}: unpack it first")
        return
    if chosen.kind == "parquet" and member.bytes > params.max_document_bytes:
        limit = f"the limit (max_document_bytes) is {params.max_document_bytes:,}"
        yield Refusal(member.offset, member.bytes, "member_too_long", f"{member.name[:100]!a}: {limit}")
        return
    try:
        if chosen.kind == "parquet":
            limits = params.max_document_bytes, params.max_expansion
            found: Iterator[Found] = rows_of(held(member, name), name, params.text_field, *limits)
        else:
            found = _from(content(member, name), chosen, name, params, Start())
        for record in found:
            yield record._replace(name=name)
    except NoTextColumnError as error:
        yield Refusal(member.offset, member.bytes, "no_text", f"columns {', '.join(error.columns)[:120]!a}", name=name)
    except DamagedFileError as error:
        if error.location != name:
            raise
        # What could be read before the damage counts: an archive is one file, and this is one of its records.
        detail = f"{error.detail}, at {error.offset:,}"
        yield Refusal(member.offset, member.bytes, "damaged_member", detail, name=name)
