"""What a unit writes: documents in shards, refusals, and counts; in blocks, so that a crash costs seconds, not hours.

A block is closed by the document that fills a shard, or by so many bytes of pages read, which take much longer than
they give text. It is kept with the place in the input behind it. After a crash the unit begins there: the bytes it
leaves in its folder are the same.
"""

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tasks.core.results import Blocks
from tasks.ingest.published.documents import DOCUMENT, DOCUMENTS, DROPPED, QUARANTINED, REFUSED
from tasks.ingest.records import Document, Refusal
from tasks.ingest.shards import ShardWriter, rows_in, rows_of
from tasks.ingest.tally import Tally

# Three to six seconds of extraction (5 to 10 MB of HTML per second, measured).
_BLOCK_PAGE_BYTES = 24 << 20
_KINDS = {DOCUMENTS: DOCUMENT, QUARANTINED: REFUSED, DROPPED: REFUSED}


class Position(NamedTuple):
    """A place in a unit's input: behind `number` records of file `file`; a JSONL file goes on at byte `offset`."""

    file: int = 0
    number: int = 0
    offset: int = 0


class Output:
    """The files and counts of one unit."""

    def __init__(self, folder: Path, blocks: Blocks, target_bytes: int) -> None:
        self.tally = Tally()
        self.position = Position()
        self._folder, self._blocks, self._target_bytes = folder, blocks, target_bytes
        self._block = self._page_bytes = 0
        self._split_by_pages = False
        self._restore()
        self._writers = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close(whole=False)

    def add(self, document: Document, page_bytes: int = 0) -> None:
        """Write a document; `page_bytes` is the length of the page it was extracted from."""
        self._writers[DOCUMENTS].add(document[: len(DOCUMENT)], document.text_bytes)
        self._page_bytes += page_bytes
        self.tally.keep(document)

    def refuse(self, refusal: Refusal, file: str, page_bytes: int = 0) -> None:
        """Write what became no document, and why."""
        name = refusal.name or file
        row = (name, refusal.offset, refusal.bytes, refusal.reason, refusal.detail)
        self._writers[refusal.fate].add(row, len(refusal.detail))
        self._page_bytes += page_bytes
        self.tally.refuse(refusal, name)

    def advance(self, position: Position) -> None:
        """Take note that everything before a place is written; keep the block if it is full."""
        self.position = position
        full, by_pages = self._writers[DOCUMENTS].bytes >= self._target_bytes, self._page_bytes >= _BLOCK_PAGE_BYTES
        if full or by_pages:
            self._split_by_pages |= not full
            self._commit()

    def restart(self) -> None:
        """Throw away everything written, as if the unit had just begun. Blocks go with the end of the attempt."""
        for writer in self._writers.values():
            writer.close(whole=False)
        for path in self._folder.glob("*-[0-9]*.parquet"):
            path.unlink()
        self.tally, self.position = Tally(), Position()
        self._block = self._page_bytes = 0
        self._split_by_pages = False
        self._writers = self._opened()

    def finish(self) -> None:
        """Close the last block; few refusals, and documents of blocks that were closed early, get whole shards."""
        for writer in self._writers.values():
            writer.close()
        for kind in _KINDS:
            if kind != DOCUMENTS or self._split_by_pages:
                self._joined(kind)
        written = {kind: rows_in(self._folder.glob(f"{kind}-*.parquet")) for kind in _KINDS}
        if written != self.tally.rows():
            raise AssertionError(f"rows written ({written}) differ from rows counted ({self.tally.rows()})")

    def _restore(self) -> None:
        states = self._blocks.restore(self._folder)
        if states:
            state = json.loads(states[-1])
            self.tally, self.position = Tally.from_json(state["tally"]), Position(**state["position"])
            self._split_by_pages = state["split_by_pages"]
        self._block = len(states)

    def _opened(self) -> dict[str, ShardWriter]:
        return {kind: ShardWriter(self._path(kind), schema) for kind, schema in _KINDS.items()}

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}-{self._block:05}.parquet"

    def _commit(self) -> None:
        for writer in self._writers.values():
            writer.close()
        state = {
            "tally": self.tally.to_json(),
            "position": self.position._asdict(),
            "split_by_pages": self._split_by_pages,
        }
        files = [path for kind in _KINDS if (path := self._path(kind)).exists()]
        self._blocks.keep(self._block, files, json.dumps(state, sort_keys=True))
        self._block += 1
        self._page_bytes = 0
        self._writers = self._opened()

    def _joined(self, kind: str) -> None:
        """Write the rows of all blocks again, in shards closed by the row that fills them."""
        pieces = sorted(self._folder.glob(f"{kind}-*.parquet"))
        if len(pieces) <= 1:
            return
        pieces = [piece.rename(piece.with_name(f"piece-{piece.name}")) for piece in pieces]
        text = DOCUMENT.get_field_index("text") if kind == DOCUMENTS else None
        self._block = 0
        writer = ShardWriter(self._path(kind), _KINDS[kind])
        for row in rows_of(pieces):
            writer.add(row, 0 if text is None else len(row[text].encode()))
            if writer.bytes >= self._target_bytes:
                writer.close()
                self._block += 1
                writer = ShardWriter(self._path(kind), _KINDS[kind])
        writer.close()
        for piece in pieces:
            with suppress(FileNotFoundError):
                piece.unlink()
