"""A unit of work: the statistics of one shard. Its key knows no threshold, so a changed one recomputes nothing here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.stage import UnitResult
from tasks.curate.annotators.config import Annotators
from tasks.curate.annotators.language import languages
from tasks.curate.annotators.pii import count_pii
from tasks.curate.annotators.tokens import token_counts
from tasks.curate.annotators.url import url_matches
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.shards import TextSource, write_table
from tasks.curate.statistics.texts import Columns, texts_of

ANNOTATIONS = "annotations.parquet"
Group = Literal["gopher", "english", "language", "url", "pii", "tokens"]
# The order of columns in the annotations.
GROUPS: tuple[Group, ...] = ("gopher", "english", "language", "url", "pii", "tokens")


@dataclass(frozen=True)
class Wanted:
    """Which statistics are taken of which documents: those `of_all`, and those `of_source`.

    `every` lists all groups that occur in the run: each has its columns in every shard, null where it was not taken.
    """

    every: tuple[Group, ...]
    of_all: tuple[Group, ...]
    of_source: Mapping[str, tuple[Group, ...]]

    def rows(self, group: Group, sources: list[str]) -> NDArray[np.int64]:
        """Return the rows whose documents have a group taken."""
        if group in self.of_all:
            return np.arange(len(sources))
        return np.flatnonzero([group in self.of_source[source] for source in sources])


@dataclass(frozen=True)
class AnnotateArgs:
    """The shard to annotate, after the steps that change texts, and what to take."""

    texts: TextSource
    wanted: Wanted
    annotators: Annotators


def annotate_shard(args: AnnotateArgs, folder: Path) -> UnitResult:
    """Write the size of every document as it was ingested, and its statistics after the steps that change texts."""
    documents = args.texts.read(("id", "source", "url", "text"))
    before = TextSource(args.texts.documents).read(("text",)) if args.texts.steps else documents
    ingested = texts_of(before["text"])
    columns: dict[str, Any] = {
        "id": documents["id"],
        "source": documents["source"],
        "bytes": ingested.bytes_N,
        "pretokens": pretokens(ingested),
    }
    sources = documents["source"].to_pylist()
    for group in args.wanted.every:
        rows = args.wanted.rows(group, sources)
        columns |= spread(_taken(group, documents, rows, args.annotators), rows, documents.num_rows)
    write_table(pa.table(columns), folder / ANNOTATIONS)
    return UnitResult(summary={"documents": documents.num_rows})


def spread(columns: Columns, rows: NDArray[np.int64], number: int) -> dict[str, pa.Array]:
    """Return columns over all documents of a shard, null where a statistic was not taken."""
    if len(rows) == number:
        return {name: pa.array(values) for name, values in columns.items()}
    place = np.full(number, -1, np.int64)
    place[rows] = np.arange(len(rows))
    index = pa.array(place, mask=place < 0)
    return {name: pa.array(values).take(index) for name, values in columns.items()}


def _taken(group: Group, documents: pa.Table, rows: NDArray[np.int64], annotators: Annotators) -> Columns:
    chosen = documents if len(rows) == documents.num_rows else documents.take(rows)
    texts = texts_of(chosen["text"])
    match group:
        case "gopher":
            return gopher_statistics(texts)
        case "english":
            return english_statistics(texts)
        case "language":
            return languages(texts, annotators.language)
        case "url":
            return url_matches(chosen["url"].to_pylist(), annotators.url)
        case "pii":
            return count_pii(texts)
        case "tokens":
            assert annotators.tokens is not None, "the params are checked when they are made"
            return token_counts(texts, annotators.tokens)
        case _ as other:
            assert_never(other)
