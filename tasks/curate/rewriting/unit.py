"""A unit of work: the lines of one shard rewritten, and the statistics behind that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.results import Here, UnitResult
from tasks.core.tables import write_table
from tasks.curate.rewriting.kinds import Rewriting, rewrite
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Columns, texts_of

REWRITING_FILE, REWRITTEN = "rewriting.parquet", "rewritten.parquet"


@dataclass(frozen=True)
class RewriteArgs:
    """The shard to rewrite, and how the lines of each source are rewritten (None: not at all).

    `every` lists the different rewritings of the run: each has its columns in every shard, null where it was not done.
    """

    texts: TextSource
    of_source: Mapping[str, Rewriting | None]
    every: tuple[Rewriting, ...]


def rewrite_shard(args: RewriteArgs, here: Here) -> UnitResult:
    """Write the rewritten texts (null where nothing changed), and the statistics taken on the way."""
    documents = args.texts.read(("id", "source", "text"))
    chosen = [args.of_source[source] for source in documents["source"].to_pylist()]
    parts: list[Columns] = []
    rewritten: list[pa.Array] = []
    rows_of = [np.flatnonzero([one == rewriting for one in chosen]) for rewriting in args.every]
    for rewriting, rows in zip(args.every, rows_of, strict=True):
        texts, statistics = rewrite(texts_of(documents["text"].take(pa.array(rows))), rewriting)
        rewritten.append(texts.to_arrow())
        parts.append(statistics)
    columns = {"id": documents["id"], **_merged(parts, rows_of, documents.num_rows)}
    write_table(pa.table(columns), here.folder / REWRITING_FILE)
    after = pa.concat_arrays([pa.array([], pa.large_string()), *rewritten]).take(_index(rows_of, documents.num_rows))
    changed = pc.if_else(pc.equal(after, documents["text"].cast(pa.large_string())), None, after)
    write_table(pa.table({"id": documents["id"], "text": changed}), here.folder / REWRITTEN)
    return UnitResult(summary={"documents": sum(map(len, rows_of))})


def _merged(parts: Sequence[Columns], rows_of: Sequence[NDArray[np.int64]], number: int) -> dict[str, Any]:
    """Return the columns of all rewritings over all documents; two that share a column never share a document."""
    values: dict[str, NDArray[Any]] = {}
    missing: dict[str, NDArray[np.bool_]] = {}
    for columns, rows in zip(parts, rows_of, strict=True):
        for name, found in columns.items():
            values.setdefault(name, np.zeros(number, found.dtype))[rows] = found
            missing.setdefault(name, np.ones(number, np.bool_))[rows] = False
    return {name: pa.array(column, mask=missing[name]) for name, column in values.items()}


def _index(rows_of: Sequence[NDArray[np.int64]], number: int) -> pa.Array:
    place = np.full(number, -1, np.int64)
    every = np.concatenate([np.zeros(0, np.int64), *rows_of])
    place[every] = np.arange(len(every))
    return pa.array(place, mask=place < 0)
