"""The steps that cut what repeats across survivors: paragraphs, then lines of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_json
from tasks.core.stage import Placement, UnitRecord
from tasks.curate.dedup.config import Repeats
from tasks.curate.dedup.groups import partitions_for
from tasks.curate.dedup.library import Library
from tasks.curate.dedup.repeat_units import (
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
from tasks.curate.dedup.repeats import Level
from tasks.curate.dedup.run import Run, digest_records, folders


@dataclass(frozen=True)
class _Step:
    """One level of pieces, over the documents of this run, of which `known` is the digest."""

    run: Run
    library: Library
    known: str
    level: Level
    repeats: Repeats


def find_cuts(
    run: Run, library: Library, known: str, tables: Sequence[Placement]
) -> tuple[list[Placement | None], dict[str, Any]]:
    """Return, per shard, the texts of survivors without what repeats (None: not looked for), and an account of the cuts.

    Paragraphs go before lines: a line of a paragraph that is cut keeps no other line from staying.
    """
    cuts: list[UnitRecord] = []
    summary: dict[str, Any] = {}
    levels: list[tuple[Level, Repeats | None]] = [("paragraphs", run.params.paragraphs), ("lines", run.params.lines)]
    for level, repeats in levels:
        if repeats is not None:
            cuts = _cut(_Step(run, library, known, level, repeats), tables, cuts)
            names = ("pieces", "bytes", "documents")
            summary[level] = {name: sum(record.summary[name] for record in cuts) for name in names}
    if not cuts:
        return [None] * len(tables), {}
    units = [
        (
            {"library": known, "cuts": cut.file(CUTS).record.digest},
            {"shelf": i},
            OverlayArgs(shelf.texts, cut.folder / CUTS),
        )
        for i, (shelf, cut) in enumerate(zip(library.shelves, cuts, strict=True))
    ]
    return [record.file(TEXTS) for record in run.map("texts without repeats", overlay_shard, units)], summary


def drop_all_cut(
    run: Run, tables: Sequence[Placement], cuts: Sequence[Placement | None]
) -> tuple[list[Placement], dict[str, int]]:
    """Return the tables of duplicates without survivors of which the cuts leave nothing, and how many those were."""
    pairs = [(table, cut) for table, cut in zip(tables, cuts, strict=True) if cut is not None]
    if not pairs:
        return list(tables), {}
    units: list[tuple[dict[str, str], dict[str, Any], EmptiedArgs]] = [
        ({"duplicates": table.record.digest, "texts": cut.record.digest}, {}, EmptiedArgs(table.source, cut.source))
        for table, cut in pairs
    ]
    records = run.map("texts that are all repeats", drop_emptied, units)
    return [record.file(DUPLICATES) for record in records], {
        "emptied": sum(record.summary["emptied"] for record in records)
    }


def _cut(step: _Step, tables: Sequence[Placement], before: Sequence[UnitRecord]) -> list[UnitRecord]:
    inputs = {
        "library": step.known,
        "duplicates": digest_json([table.record.digest for table in tables]),
        "before": digest_records(*before),
    }
    cuts: Sequence[Path | None] = [record.folder / CUTS for record in before] or [None] * len(tables)
    found = _pieces(step, inputs, tables, cuts)
    repeated = _repeated(step, found)
    inputs |= {"pieces": digest_records(*found), "repeated": digest_records(*repeated)}
    units = [
        (
            inputs,
            {"shelf": i, "level": step.level},
            CutArgs(step.library, i, record.folder, folders(repeated), step.level, cut),
        )
        for i, (record, cut) in enumerate(zip(found, cuts, strict=True))
    ]
    return step.run.map(f"{step.level} to cut", cut_shard, units)


def _pieces(
    step: _Step, inputs: dict[str, str], tables: Sequence[Placement], cuts: Sequence[Path | None]
) -> list[UnitRecord]:
    library, level, min_chars = step.library, step.level, step.repeats.min_chars
    units = [
        (
            inputs,
            {"shelf": i, "level": level, "min_chars": min_chars},
            PiecesArgs(shelf, table.source, level, min_chars, cut, library.within_source),
        )
        for i, (shelf, table, cut) in enumerate(zip(library.shelves, tables, cuts, strict=True))
    ]
    return step.run.map(f"{level} of survivors", hash_pieces, units)


def _repeated(step: _Step, found: Sequence[UnitRecord]) -> list[UnitRecord]:
    partitions = partitions_for(sum(record.summary["pieces"] for record in found), PARTITION_PIECES)
    inputs, values = {"library": step.known, "pieces": digest_records(*found)}, step.repeats.model_dump(mode="json")
    units = [
        (
            inputs,
            {**values, "partition": [i, partitions]},
            RepeatsArgs(step.library, folders(found), step.repeats, i, partitions),
        )
        for i in range(partitions)
    ]
    return step.run.map(f"{step.level} that repeat", find_repeats, units)
