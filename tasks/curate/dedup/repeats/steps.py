"""The steps that cut what repeats across survivors: paragraphs, then lines of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.handles import Handle, Tree
from tasks.curate.dedup.config import Duplicates, Repeats
from tasks.curate.dedup.corpus import Corpus
from tasks.curate.dedup.groups import partitions_for
from tasks.curate.dedup.repeats.pieces import Level
from tasks.curate.dedup.repeats.units import (
    CUTS,
    DUPLICATES,
    PARTITION_PIECES,
    TEXTS,
    CutArgs,
    EmptiedArgs,
    OverlayArgs,
    PiecesArgs,
    RepeatsArgs,
    cut_shard,
    drop_emptied,
    find_repeats,
    hash_pieces,
    overlay_shard,
)
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step

PIECES = Step("curate.pieces", "curate: pieces of survivors", hash_pieces)
REPEATED = Step("curate.repeated", "curate: pieces that repeat", find_repeats)
CUT = Step("curate.cut", "curate: pieces to cut", cut_shard)
OVERLAY = Step("curate.overlay", "curate: texts without repeats", overlay_shard)
EMPTIED = Step("curate.emptied", "curate: texts that are all repeats", drop_emptied)


@dataclass(frozen=True)
class _LevelOfPieces:
    """One level of pieces, over the documents of this run."""

    workshop: Workshop
    corpus: Corpus
    level: Level
    repeats: Repeats

    @property
    def about(self) -> str:
        """How progress is called."""
        return f"curate: {self.level}"


def find_cuts(
    workshop: Workshop, params: Duplicates, corpus: Corpus, tables: Sequence[Handle]
) -> tuple[list[Handle | None], dict[str, Any]]:
    """Return, per shard, the texts of survivors without what repeats (None: not looked for), and an account of the cuts.

    Paragraphs go before lines: a line of a paragraph that is cut keeps no other line from staying.
    """
    cuts: list[Handle] = []
    summary: dict[str, Any] = {}
    levels: list[tuple[Level, Repeats | None]] = [("paragraphs", params.paragraphs), ("lines", params.lines)]
    for level, repeats in levels:
        if repeats is not None:
            records = _cut(_LevelOfPieces(workshop, corpus, level, repeats), tables, cuts)
            cuts = [record.file(CUTS) for record in records]
            names = ("pieces", "bytes", "documents")
            summary[level] = {name: sum(record.summary[name] for record in records) for name in names}
    if not cuts:
        return [None] * len(tables), {}
    units = [OverlayArgs(shard.texts, cut) for shard, cut in zip(corpus.shards, cuts, strict=True)]
    return [record.file(TEXTS) for record in OVERLAY.map(workshop, units)], summary


def drop_all_cut(
    workshop: Workshop, tables: Sequence[Handle], cuts: Sequence[Handle | None]
) -> tuple[list[Handle], dict[str, int]]:
    """Return the tables of duplicates without survivors of which the cuts leave nothing, and how many those were."""
    units = [EmptiedArgs(table, cut) for table, cut in zip(tables, cuts, strict=True) if cut is not None]
    if not units:
        return list(tables), {}
    records = EMPTIED.map(workshop, units)
    return [record.file(DUPLICATES) for record in records], {
        "emptied": sum(record.summary["emptied"] for record in records)
    }


def _cut(of: _LevelOfPieces, tables: Sequence[Handle], before: Sequence[Handle]) -> list[UnitRecord]:
    cuts: Sequence[Handle | None] = before or [None] * len(tables)
    scoped, min_chars = of.corpus.within_source, of.repeats.min_chars
    shards = zip(of.corpus.shards, tables, cuts, strict=True)
    units = [PiecesArgs(shard, table, of.level, min_chars, cut, scoped) for shard, table, cut in shards]
    found = PIECES.map(of.workshop, units, label=f"{of.about} of survivors")
    repeated = _repeated(of, found)
    return CUT.map(
        of.workshop,
        [
            CutArgs(of.corpus, i, record.tree, repeated, of.level, cut)
            for i, (record, cut) in enumerate(zip(found, cuts, strict=True))
        ],
        label=f"{of.about} to cut",
    )


def _repeated(of: _LevelOfPieces, found: Sequence[UnitRecord]) -> tuple[Tree, ...]:
    partitions = partitions_for(sum(record.summary["pieces"] for record in found), PARTITION_PIECES)
    pieces = tuple(record.tree for record in found)
    units = [RepeatsArgs(of.corpus, pieces, of.repeats, i, partitions) for i in range(partitions)]
    return tuple(record.tree for record in REPEATED.map(of.workshop, units, label=f"{of.about} that repeat"))
