"""One unit of ingest: some files of one source become shards of documents and a list of what became none."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.core.errors import DataError
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.ingest.config import ReadParams
from tasks.ingest.damage import DamagedFileError, NoTextColumnError
from tasks.ingest.output import Output, Position
from tasks.ingest.read import Found, SourceFile, Start, read_records
from tasks.ingest.records import Document, Page, Record, Refusal, document_of

# What becomes of a page, by the id it has without one of its own and its source.
DocumentOfPage = Callable[[Page, str, str], Document | Refusal]


@dataclass(frozen=True)
class UnitArgs:
    """The files of one unit, in order, and how they are read; `set_aside`: damaged ones are, instead of stopping it."""

    files: tuple[SourceFile, ...]
    params: ReadParams
    set_aside: bool = field(default=False, metadata=LABEL)


def read_unit(args: UnitArgs, here: Here) -> UnitResult:
    """Read files that hold no pages; see `documents_of`."""
    return documents_of(args, here, _no_page)


def documents_of(args: UnitArgs, here: Here, document_of_page: DocumentOfPage) -> UnitResult:
    """Write the files' documents and refusals; the blocks hold what an earlier attempt came to.

    Returns the account (raw bytes of records) and a summary, see `Tally.summary`.

    Raises:
        DataError: a file cannot be read, is damaged and there is no budget for that, or changed since it was listed.
    """
    with Output(here.folder, here.blocks, args.params.target_shard_bytes) as output:
        for index in range(output.position.file, len(args.files)):
            file = args.files[index]
            try:
                _read_file(file, index, args, output, document_of_page)
            except NoTextColumnError as error:
                output.tally.begin(file.name, error.columns)
            except DamagedFileError as error:
                if not args.set_aside:
                    raise DataError(str(error)) from error
                _set_aside(file, error, len(args.files), output)
            output.advance(Position(index + 1))
        output.finish()
    account = output.tally.account(", ".join(file.name for file in args.files[:3]))
    return UnitResult(account, output.tally.summary())


def _no_page(page: Page, derived_id: str, source: str) -> Document | Refusal:
    raise AssertionError(f"{derived_id}: a page in a file of a kind that holds none")


def _read_file(file: SourceFile, index: int, args: UnitArgs, output: Output, document_of_page: DocumentOfPage) -> None:
    """Write what one file holds, from the output's position on."""
    here = output.position if output.position.file == index else Position(index)
    number = here.number
    for found in read_records(file, args.params, Start(here.number, here.offset)):
        output.tally.taken.add(found.bytes)
        page_bytes = len(found.html) if isinstance(found, Page) else 0
        if isinstance(found, Record):
            output.tally.begin(file.name, found.fields)
        match made := _made(found, file, number, args.params, document_of_page):
            case Document():
                output.add(made, page_bytes)
            case Refusal():
                output.refuse(made, file.name, page_bytes)
        number += 1
        output.advance(Position(index, number, found.offset + found.bytes + 1))
    if not number:
        output.tally.begin_empty(file.name, file.bytes)


def _made(
    found: Found, file: SourceFile, number: int, params: ReadParams, document_of_page: DocumentOfPage
) -> Document | Refusal:
    if isinstance(found, Refusal):
        return found
    derived_id = (found.name or file.name) if found.is_file else f"{file.digest[:12]}-{number}"
    if isinstance(found, Record):
        return document_of(found, derived_id=derived_id, source=file.source, params=params)
    return document_of_page(found, derived_id, file.source)


def _set_aside(file: SourceFile, error: DamagedFileError, num_files: int, output: Output) -> None:
    """Refuse a whole file. Of several files each is one record, which is read whole or not at all."""
    if num_files == 1:
        output.restart()
    refusal = Refusal(error.offset, file.bytes, error.reason, error.detail)
    output.tally.taken.add(refusal.bytes)
    output.refuse(refusal, file.name)
