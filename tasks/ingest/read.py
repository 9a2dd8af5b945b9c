"""One listed file as records: the reader is chosen by the kind that was found when it was listed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import assert_never

from tasks.core.identity import LABEL
from tasks.ingest.config import ReadParams
from tasks.ingest.damage import DamagedFileError, NoTextColumnError, unusable
from tasks.ingest.formats import ARCHIVES, WHOLE, Format
from tasks.ingest.places import opened
from tasks.ingest.readers.archive import Member, content, held, read_tar, read_zip
from tasks.ingest.readers.json_values import read_json
from tasks.ingest.readers.jsonl import read_jsonl
from tasks.ingest.readers.members import GzipMembers, Members, WholeFile
from tasks.ingest.readers.parquet import read_parquet, rows_of
from tasks.ingest.readers.stream import EXPANSION_FLOOR, decompressed, verified_blocks
from tasks.ingest.readers.table import read_table
from tasks.ingest.readers.text import read_html, read_text
from tasks.ingest.readers.warc import read_arc, read_warc
from tasks.ingest.recognition import HEAD_BYTES, recognised
from tasks.ingest.records import Page, Record, Refusal

Found = Record | Page | Refusal


@dataclass(frozen=True)
class SourceFile:
    """A file to read: its name and source, where it lies, what it must hold (SHA-256, size), and how it is read."""

    name: str
    source: str
    location: str = field(metadata=LABEL)
    digest: str
    bytes: int
    format: Format


@dataclass(frozen=True)
class Start:
    """Where in a file to begin: so many of its records are behind us, and the next one of a JSONL file begins there."""

    number: int = 0
    offset: int = 0


def read_records(file: SourceFile, params: ReadParams, start: Start = Start()) -> Iterator[Found]:
    """Yield everything the file holds from `start` on, in its order, as records, pages and refusals.

    Raises:
        DataError: the file is of no known kind, cannot be read, is damaged or truncated, or is not the one that was
            listed.
    """
    if file.format.kind == "parquet":
        yield from read_parquet(
            file.location,
            file.digest,
            text_field=params.text_field,
            max_bytes=params.max_document_bytes,
            max_expansion=params.max_expansion,
            skip=start.number,
        )
        return
    if file.format.kind in ARCHIVES:
        yield from islice(_archive(file, params), start.number, None)
        return
    blocks = verified_blocks(file.location, file.digest)
    yield from _from(blocks, file.format, file.location, params, start)
    # A reader may stop early, where nothing more can be found: the rest counts for the digest too.
    for _ in blocks:
        pass


def _from(blocks: Iterator[bytes], chosen: Format, location: str, params: ReadParams, start: Start) -> Iterator[Found]:
    """Yield what a stream holds that is read from the first byte to the last."""
    if chosen.kind == "jsonl":
        yield from read_jsonl(_plain(blocks, chosen, location, params), params.max_document_bytes, start.offset)
    else:
        yield from islice(_all(blocks, chosen, location, params), start.number, None)


def _all(blocks: Iterator[bytes], chosen: Format, location: str, params: ReadParams) -> Iterator[Found]:
    limit, field = params.max_document_bytes, params.text_field
    match chosen.kind:
        case "warc":
            yield from read_warc(_members(blocks, chosen, location, params), params)
        case "arc":
            yield from read_arc(_members(blocks, chosen, location, params), params)
        case "json":
            yield from read_json(_plain(blocks, chosen, location, params), location, limit)
        case "csv":
            plain = _plain(blocks, chosen, location, params)
            yield from read_table(plain, location, text_field=field, max_bytes=limit)
        case "html":
            yield from read_html(_plain(blocks, chosen, location, params), location, max_bytes=limit)
        case "text":
            yield from read_text(_plain(blocks, chosen, location, params), location, text_field=field, max_bytes=limit)
        case "unknown":
            what = f"unknown kind, looks like {chosen.looks_like}"
            raise unusable(location, "unknown_kind", what, "Unpack or convert it, say what it is with ingest.kinds")
        case "jsonl" | "parquet" | "tar" | "zip":
            raise AssertionError(f"{chosen.kind} is read elsewhere")
        case _:
            assert_never(chosen.kind)


def _members(blocks: Iterator[bytes], chosen: Format, location: str, params: ReadParams) -> Members:
    if chosen.compression == "gzip":
        return GzipMembers(blocks, params.max_expansion)
    return WholeFile(_plain(blocks, chosen, location, params))


def _plain(blocks: Iterator[bytes], chosen: Format, location: str, params: ReadParams) -> Iterator[bytes]:
    return decompressed(blocks, chosen.compression, location, params.max_expansion, params.max_zstd_window_bytes)


def _archive(file: SourceFile, params: ReadParams) -> Iterator[Found]:
    blocks = verified_blocks(file.location, file.digest)
    if file.format.kind == "zip":
        for _ in blocks:
            pass
        with opened(file.location) as stream:
            for member in read_zip(stream, file.location, params.max_expansion, EXPANSION_FLOOR):
                yield from _inner(member, file, params)
        return
    plain = _plain(blocks, file.format, file.location, params)
    for member in read_tar(plain, file.location):
        yield from _inner(member, file, params)
    for _ in plain:
        pass


def _inner(member: Member | Refusal, file: SourceFile, params: ReadParams) -> Iterator[Found]:
    """Yield what one file of an archive holds; one that cannot be read is one refusal, and counts as a file."""
    if isinstance(member, Refusal):
        yield member
        return
    name = f"{file.name}/{member.name}"
    try:
        for record in _of_member(member, name, params):
            yield record._replace(name=name)
    except NoTextColumnError as error:
        yield Refusal(member.offset, member.bytes, "no_text", f"columns {', '.join(error.columns)[:120]!a}", name=name)
    except DamagedFileError as error:
        if error.location != name:
            raise
        # What could be read before the damage counts: an archive is one file, and this is a part of it.
        reason = "damaged_member" if error.reason == "damaged_file" else error.reason
        yield Refusal(member.offset, member.bytes, reason, f"{error.detail}, at {error.offset:,}", name=name)


def _of_member(member: Member, name: str, params: ReadParams) -> Iterator[Found]:
    blocks = content(member, name)
    head = b""
    while len(head) < HEAD_BYTES and (block := next(blocks, b"")):
        head += block
    chosen = recognised(member.name, head, whole=len(head) == member.bytes, kinds=params.kinds)
    if chosen.kind in ARCHIVES:
        yield Refusal(member.offset, member.bytes, "nested_archive", f"{member.name[:100]!a}: unpack it first")
    elif chosen.kind != "parquet":
        if head or chosen.kind not in WHOLE:
            yield from _from(chain([head], blocks), chosen, name, params, Start())
    elif member.bytes > params.max_document_bytes:
        limit = f"the limit (max_document_bytes) is {params.max_document_bytes:,}"
        yield Refusal(member.offset, member.bytes, "member_too_long", f"{member.name[:100]!a}: {limit}")
    else:
        limits = params.max_document_bytes, params.max_expansion
        yield from rows_of(held(chain([head], blocks)), name, params.text_field, *limits)
