"""Shards of candidates in memory and on disk, deduplication over them, and what it found by id."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.digest import digest_file
from tasks.core.handles import Handle
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.rng import generator
from tasks.curate.dedup.config import Duplicates
from tasks.curate.dedup.signing.datatrove import DatatroveMinHash
from tasks.curate.dedup.signing.fast import FastMinHash
from tasks.curate.dedup.signing.signatures import Shape, shape_of
from tasks.curate.dedup.stage import Candidates, Found, find_duplicates
from tasks.curate.published.funnel import DuplicateCounts
from tasks.curate.statistics.shards import TextSource
from tasks.runtime.files import file_handle
from tests.curate.folders import workshop


@dataclass(frozen=True)
class Doc:
    id: str
    text: str
    source: str = "docs"
    quality: float = 0.5
    passes: bool = True


def word(value: int) -> str:
    """A word of letters: numbers are all the same to datatrove."""
    return "w" + "".join(chr(97 + value // 26**k % 26) for k in range(3))


def prose(number: int, words: int = 200) -> list[str]:
    return [word(value) for value in generator(7, "text", number).integers(0, 5000, words).tolist()]


def edited(words: Sequence[str], number: int, edits: int) -> list[str]:
    """Words with some replaced by new ones of the same length, so that texts are as long as before."""
    where = generator(7, "edit", number).choice(len(words), edits, replace=False)
    return [f"n{word(number * 211 + i)[1:]}" if i in where else old for i, old in enumerate(words)]


def shingles(words: Sequence[str], n: int = 5) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def jaccard(one: set[Any], other: set[Any]) -> float:
    return len(one & other) / len(one | other)


def write_shards(folder: Path, shards: Sequence[Sequence[Doc]]) -> list[Candidates]:
    candidates = []
    for number, docs in enumerate(shards):
        texts, standing = folder / f"{number:05d}.parquet", folder / f"standing-{number:05d}.parquet"
        folder.mkdir(parents=True, exist_ok=True)
        columns = {name: [getattr(doc, name) for doc in docs] for name in ("id", "source", "text", "passes", "quality")}
        strings = {"id": pa.string(), "source": pa.string(), "text": pa.large_string()}
        types = {**strings, "passes": pa.bool_(), "quality": pa.float64()}
        arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
        pq.write_table(pa.table({name: arrays[name] for name in ("id", "text")}), texts)
        pq.write_table(pa.table({name: arrays[name] for name in ("id", "source", "passes", "quality")}), standing)
        candidates.append(Candidates(f"{number:05d}", TextSource(file_handle(texts)), file_handle(standing)))
    return candidates


def found_in(folder: Path, shards: Sequence[Sequence[Doc]], params: Duplicates, seed: int = 0) -> Found:
    name = hashlib.sha256(repr(shards).encode()).hexdigest()[:16]
    return find_duplicates(workshop(folder), write_shards(folder / name, shards), params, seed)


def table(placed: Handle | None) -> list[dict[str, Any]]:
    assert placed is not None
    return list(pq.read_table(placed.local()).to_pylist())


def by_id(found: Found, shards: Sequence[Sequence[Doc]]) -> dict[str, dict[str, Any]]:
    rows = [row for placed in found.tables for row in table(placed)]
    docs = [doc for shard in shards for doc in shard]
    return {doc.id: row for doc, row in zip(docs, rows, strict=True)}


def survivors(folder: Path, shards: Sequence[Sequence[Doc]], params: Duplicates, seed: int = 0) -> dict[str, str]:
    return {name: row["survivor"] for name, row in by_id(found_in(folder, shards, params, seed), shards).items()}


def kept_texts(found: Found, shards: Sequence[Sequence[Doc]]) -> dict[str, str]:
    """The texts of survivors after the cuts."""
    kept = {}
    for docs, duplicates, cut in zip(shards, found.tables, found.cuts, strict=True):
        changed: Sequence[Mapping[str, Any]] = table(cut) if cut else [{"text": None}] * len(docs)
        for doc, row, new in zip(docs, table(duplicates), changed, strict=True):
            if row["survivor"] is not None and row["filter"] is None:
                kept[doc.id] = doc.text if new["text"] is None else new["text"]
    return kept


def publish_version(folder: Path, found: Found, shards: Sequence[Sequence[Doc]]) -> str:
    """Write what a curate folder holds of the survivors: kept/, fingerprints/ and a manifest; return its path."""
    records = []
    for (number, fingerprint), docs, duplicates in zip(found.fingerprints.items(), shards, found.tables, strict=True):
        rows = table(duplicates)
        kept = [doc for doc, row in zip(docs, rows, strict=True) if row["survivor"] and row["filter"] is None]
        for kind, write in (
            ("kept", lambda path, kept=kept: pq.write_table(_kept_table(kept), path)),
            ("fingerprints", lambda path, made=fingerprint: path.write_bytes(made.local().read_bytes())),
        ):
            path = folder / kind / f"{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            records.append(FileRecord(f"{kind}/{path.name}", digest_file(path), path.stat().st_size))
    Manifest("curate", {}, {}, "code", tuple(sorted(records, key=lambda record: record.path))).write(folder)
    return str(folder)


def _kept_table(kept: Sequence[Doc]) -> pa.Table:
    texts = pa.array([doc.text for doc in kept], pa.large_string())
    return pa.table({"id": pa.array([doc.id for doc in kept], pa.string()), "text": texts})


def counts_of(found: Found) -> DuplicateCounts:
    """What was counted, where duplicates were looked for."""
    assert found.counts is not None
    return found.counts


def shape(kind: str, ngram_words: int = 5, bands: int = 14, rows: int = 8, seed: int = 0) -> Shape:
    """How texts are signed."""
    kinds = {"fast": FastMinHash, "datatrove": DatatroveMinHash}
    found = shape_of(kinds[kind](ngram_words=ngram_words, bands=bands, rows=rows), seed)
    assert found is not None
    return found
