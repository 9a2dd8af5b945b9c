"""The units that cut paragraphs or lines that stand in several surviving documents.

Three steps: the hashes of all pieces of each shard; which of them repeat, a part of all hashes at a time; the spans to
cut of each shard. The first and the last hold one shard, the second `PARTITION_PIECES` pieces, whatever the input.

Axes: N pieces of a shard, M hashes that repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.dedup.config import Repeats
from tasks.curate.dedup.corpus import Corpus, SignedShard
from tasks.curate.dedup.duplicates import surviving_rows
from tasks.curate.dedup.groups import in_partition
from tasks.curate.dedup.repeats.pieces import Level, Span, outside, piece_hash, pieces, without
from tasks.curate.dedup.signing.signatures import Hashes, Ints
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Texts, texts_of

HASHES, ROWS, SPANS = "hashes.npy", "rows.npy", "spans.npy"
REPEATED, KEEPERS, COUNTS = "repeated.npy", "keepers.npy", "documents.npy"
CUTS, TEXTS, DUPLICATES = "cuts.parquet", "texts.parquet", "duplicates.parquet"
EMPTIED = "only_repeated_text"
# Pieces a unit holds: about 60 bytes each, and the ids of their documents.
PARTITION_PIECES = 1 << 20
# No document keeps the piece.
_NOBODY = -1

CUTS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("begin", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("keeper", pa.string()),
    ]
)


@dataclass(frozen=True)
class PiecesArgs:
    """A shard, its table of duplicates, which pieces are looked at, and what is cut of it already."""

    shard: SignedShard
    duplicates: Handle
    level: Level
    min_chars: int
    cut: Handle | None
    within_source: bool


@dataclass(frozen=True)
class RepeatsArgs:
    """The documents, their pieces by shard, and which partition of the hashes."""

    corpus: Corpus
    pieces: tuple[Tree, ...]
    repeats: Repeats
    partition: int
    partitions: int


@dataclass(frozen=True)
class CutArgs:
    """A shard by its place in the corpus, its pieces and all that repeat, and earlier cuts."""

    corpus: Corpus
    shard: int
    pieces: Tree
    repeated: tuple[Tree, ...]
    level: Level
    cut: Handle | None


@dataclass(frozen=True)
class OverlayArgs:
    """The texts of a shard, and the table of what is cut of them."""

    texts: TextSource
    cuts: Handle


@dataclass(frozen=True)
class EmptiedArgs:
    """A shard's table of duplicates, and its texts without what repeats."""

    duplicates: Handle
    texts: Handle


def hash_pieces(args: PiecesArgs, here: Here) -> UnitResult:
    """Write the pieces of the surviving documents: uint64 hashes [N, 2] ascending, rows [N], spans in bytes [N, 2]."""
    texts = texts_of(args.shard.texts.read(("text",))["text"])
    sources = args.shard.column("source").to_pylist() if args.within_source else None
    cuts = _spans_by_row(args.cut)
    found, rows, spans = bytearray(), [], []
    for row in surviving_rows(args.duplicates).tolist():
        chosen = [(s, normal) for s, normal in pieces(_bytes(texts, row), args.level) if len(normal) >= args.min_chars]
        free = outside(_two_columns([span for span, _ in chosen]), cuts.get(row, _two_columns([])))
        for (span, normal), is_free in zip(chosen, free.tolist(), strict=True):
            if is_free:
                found += piece_hash(f"{sources[row]}\n{normal}" if sources else normal)
                rows.append(row)
                spans.append(span)
    hashes = np.frombuffer(bytes(found), ">u8").reshape(-1, 2).astype(np.uint64)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    np.save(here.folder / HASHES, hashes[order])
    np.save(here.folder / ROWS, np.array(rows, np.int64)[order])
    np.save(here.folder / SPANS, _two_columns(spans)[order])
    return UnitResult(summary={"pieces": len(rows)})


def find_repeats(args: RepeatsArgs, here: Here) -> UnitResult:
    """Write the hashes that stand in enough documents [M, 2] ascending, who keeps each [M], in how many it stands [M]."""
    hashes, numbers = _partition(args)
    starts = np.flatnonzero(np.concatenate([[True], (hashes[1:] != hashes[:-1]).any(axis=1)])[: len(hashes)])
    documents = np.diff(np.append(starts, len(hashes)))
    enough = documents >= args.repeats.min_documents
    keepers = np.full(int(enough.sum()), _NOBODY)
    if args.repeats.keep_first:
        inside = np.repeat(enough, documents)
        by_group = np.repeat(np.arange(len(keepers)), documents[enough])
        keepers = _smallest_ids(args.corpus, by_group, numbers[inside])
    np.save(here.folder / REPEATED, hashes[starts[enough]])
    np.save(here.folder / KEEPERS, keepers)
    np.save(here.folder / COUNTS, documents[enough])
    return UnitResult(summary={"pieces": len(hashes), "repeated": len(keepers)})


def cut_shard(args: CutArgs, here: Here) -> UnitResult:
    """Write the spans to cut of every document of a shard, with those that were cut before.

    row, begin, end: bytes of the text. level: paragraphs or lines. documents: in how many the piece stands. keeper: id of
    the one that keeps it, null if none does.
    """
    start = int(args.corpus.starts[args.shard])
    hashes, rows, spans = (np.load(args.pieces.local() / name) for name in (HASHES, ROWS, SPANS))
    parts = [_matches(hashes, rows + start, tree) for tree in args.repeated]
    at, keepers, documents = (np.concatenate([part[i] for part in parts]) for i in range(3))
    table = pa.table(
        {
            "row": rows[at],
            "begin": spans[at, 0],
            "end": spans[at, 1],
            "level": pa.array([args.level] * len(at), pa.string()),
            "documents": documents,
            "keeper": _ids(args.corpus, keepers),
        },
        CUTS_SCHEMA,
    )
    before = read_table(args.cut.local()) if args.cut else CUTS_SCHEMA.empty_table()
    every = pa.concat_tables([before, table]).sort_by([("row", "ascending"), ("begin", "ascending")])
    write_table(every, here.folder / CUTS)
    size = int((spans[at, 1] - spans[at, 0]).sum())
    return UnitResult(summary={"pieces": len(at), "bytes": size, "documents": len(np.unique(rows[at]))})


def overlay_shard(args: OverlayArgs, here: Here) -> UnitResult:
    """Write the texts of a shard without the spans of its table of cuts; null where nothing is cut.

    The bytes of the texts less those of the spans are the bytes of the result.
    """
    texts = texts_of(args.texts.read(("text",))["text"])
    changed: list[str | None] = [None] * len(texts)
    for row, spans in _spans_by_row(args.cuts).items():
        changed[row] = without(_bytes(texts, row), spans.tolist()).decode()
    write_table(pa.table({"text": pa.array(changed, pa.large_string())}), here.folder / TEXTS)
    return UnitResult(summary={"documents": sum(text is not None for text in changed)})


def drop_emptied(args: EmptiedArgs, here: Here) -> UnitResult:
    """Write the table of duplicates of a shard, with the documents dropped of which the cuts leave nothing but blanks."""
    table, texts = read_table(args.duplicates.local()), read_table(args.texts.local(), ("text",))["text"]
    empty = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(texts)), 0).fill_null(False)
    gone = pc.and_(empty, pc.and_(table["survivor"].is_valid(), table["filter"].is_null()))
    fate = {"filter": EMPTIED, "detail": "all of it stands in other documents", "weight": None}
    for name, value in fate.items():
        at = table.column_names.index(name)
        field = table.schema.field(name)
        table = table.set_column(at, field, pc.if_else(gone, pa.scalar(value, field.type), table[name]))
    write_table(table, here.folder / DUPLICATES)
    return UnitResult(summary={"emptied": pc.sum(gone).as_py() or 0})


def _partition(args: RepeatsArgs) -> tuple[Hashes, Ints]:
    """Return the hashes of a partition and the documents they stand in, each pair once, ascending."""
    hashes, numbers = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.int64)]
    for tree, start in zip(args.pieces, args.corpus.starts.tolist(), strict=False):
        path = tree.local()
        every = np.load(path / HASHES, mmap_mode="r")
        inside = in_partition(np.array(every[:, 0]), args.partition, args.partitions)
        hashes.append(np.array(every[inside]))
        numbers.append(np.array(np.load(path / ROWS, mmap_mode="r")[inside]) + start)
    all_hashes, all_numbers = np.concatenate(hashes), np.concatenate(numbers)
    order = np.lexsort((all_numbers, all_hashes[:, 1], all_hashes[:, 0]))
    all_hashes, all_numbers = all_hashes[order], all_numbers[order]
    differs = (all_hashes[1:] != all_hashes[:-1]).any(axis=1) | (all_numbers[1:] != all_numbers[:-1])
    once = np.concatenate([[True], differs])[: len(all_hashes)]
    return all_hashes[once], all_numbers[once]


def _smallest_ids(corpus: Corpus, groups: Ints, numbers: Ints) -> Ints:
    """Return, per group (numbered from 0, ascending), the number of the document with the smallest id."""
    documents, places = np.unique(numbers, return_inverse=True)
    order = pc.sort_indices(_ids(corpus, documents)).to_numpy().astype(np.int64)
    ranks = np.empty(len(documents), np.int64)
    ranks[order] = np.arange(len(documents))
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]])[: len(groups)])
    best = np.minimum.reduceat(ranks[places], starts) if len(groups) else np.zeros(0, np.int64)
    return np.asarray(documents[order[best]], np.int64)


def _ids(corpus: Corpus, numbers: Ints) -> pa.Array:
    """Return the ids of documents; null for nobody."""
    known = np.flatnonzero(numbers != _NOBODY)
    names: NDArray[np.object_] = np.full(len(numbers), None, object)
    for shard, rows, at in corpus.rows(numbers[known]):
        names[known[at]] = shard.column("id").take(rows).to_pylist()
    return pa.array(names, pa.string())


def _matches(hashes: Hashes, numbers: Ints, tree: Tree) -> tuple[Ints, Ints, Ints]:
    """Return which pieces repeat and are not kept, who keeps them, and in how many documents they stand."""
    repeated, keepers, documents = (np.load(tree.local() / name) for name in (REPEATED, KEEPERS, COUNTS))
    if len(repeated) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    known, own = _comparable(repeated), _comparable(hashes)
    places = np.minimum(np.searchsorted(known, own), len(known) - 1)
    at = np.flatnonzero((known[places] == own) & (keepers[places] != numbers))
    return at, keepers[places[at]], documents[places[at]]


def _comparable(hashes: Hashes) -> NDArray[Any]:
    # Pairs of numbers as bytes, whose order is that of the pairs.
    return np.ascontiguousarray(hashes.astype(">u8")).view("S16").ravel()


def _spans_by_row(cut: Handle | None) -> dict[int, Ints]:
    if cut is None:
        return {}
    table = read_table(cut.local(), ("row", "begin", "end"))
    rows = table["row"].to_numpy()
    spans = np.stack([table["begin"].to_numpy(), table["end"].to_numpy()], axis=1)
    some, starts = np.unique(rows, return_index=True)
    return dict(zip(some.tolist(), np.split(spans, starts[1:]), strict=True)) if len(rows) else {}


def _two_columns(spans: Sequence[Span]) -> Ints:
    return np.array(spans, np.int64).reshape(-1, 2)


def _bytes(texts: Texts, row: int) -> bytes:
    return bytes(memoryview(texts.data)[texts.offsets[row] : texts.offsets[row + 1]])
