"""A unit of work: the statistics of one shard. Its key knows no threshold, so a changed one recomputes nothing here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.stage import UnitResult
from tasks.curate.annotators.config import Annotators
from tasks.curate.annotators.language import LanguageText, languages
from tasks.curate.annotators.pii import count_pii
from tasks.curate.annotators.tokens import token_counts
from tasks.curate.annotators.url import url_matches
from tasks.curate.published.documents import write_annotations
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import WordRule, gopher_statistics
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Columns, Texts, texts_of

RuleT = TypeVar("RuleT", bound=str)
ANNOTATIONS = "annotations.parquet"
Group = Literal["gopher", "english", "language", "url", "pii", "tokens"]
# The order of columns in the annotations.
GROUPS: tuple[Group, ...] = ("gopher", "english", "language", "url", "pii", "tokens")


@dataclass(frozen=True)
class Reading:
    """How the profile of a document reads it: what a word is to the group gopher, and what language is asked of."""

    words: WordRule = "blanks"
    language_text: LanguageText = "normalised"


@dataclass(frozen=True)
class Wanted:
    """Which statistics are taken of which documents: those `of_all`, and those `of_source`, as `readings` say per source.

    `every` lists all groups that occur in the run: each has its columns in every shard, null where it was not taken.
    """

    every: tuple[Group, ...]
    of_all: tuple[Group, ...]
    of_source: Mapping[str, tuple[Group, ...]]
    readings: Mapping[str, Reading]

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
        readings = [args.wanted.readings[sources[row]] for row in rows.tolist()]
        columns |= spread(_taken(group, documents, rows, readings, args.annotators), rows, documents.num_rows)
    write_annotations(pa.table(columns), folder / ANNOTATIONS)
    return UnitResult(summary={"documents": documents.num_rows})


def spread(columns: Columns, rows: NDArray[np.int64], number: int) -> dict[str, pa.Array]:
    """Return columns over all documents of a shard, null where a statistic was not taken."""
    if len(rows) == number:
        return {name: pa.array(values) for name, values in columns.items()}
    place = np.full(number, -1, np.int64)
    place[rows] = np.arange(len(rows))
    index = pa.array(place, mask=place < 0)
    return {name: pa.array(values).take(index) for name, values in columns.items()}


def _taken(
    group: Group, documents: pa.Table, rows: NDArray[np.int64], readings: Sequence[Reading], annotators: Annotators
) -> Columns:
    chosen = documents if len(rows) == documents.num_rows else documents.take(rows)
    texts = texts_of(chosen["text"])
    match group:
        case "gopher":
            rules: list[WordRule] = [reading.words for reading in readings] or ["blanks"]
            return _by_reading(texts, rules, gopher_statistics)
        case "english":
            return english_statistics(texts)
        case "language":
            asked: list[LanguageText] = [reading.language_text for reading in readings] or ["normalised"]
            return _by_reading(texts, asked, lambda some, text: languages(some, annotators.language, text))
        case "url":
            return url_matches(chosen["url"].to_pylist(), annotators.url)
        case "pii":
            return count_pii(texts)
        case "tokens":
            assert annotators.tokens is not None, "the params are checked when they are made"
            return token_counts(texts, annotators.tokens)
        case _ as other:
            assert_never(other)


def _by_reading(texts: Texts, rules: Sequence[RuleT], take: Callable[[Texts, RuleT], Columns]) -> Columns:
    """Return the columns of texts of which each is read by its own rule; of no texts, a rule says what columns."""
    distinct = tuple(dict.fromkeys(rules))
    if len(distinct) == 1:
        return take(texts, distinct[0])
    every, found = texts.to_arrow(), Columns()
    for rule in distinct:
        rows = np.flatnonzero([one == rule for one in rules])
        for name, values in take(texts_of(every.take(pa.array(rows))), rule).items():
            found.setdefault(name, np.zeros(len(rules), values.dtype))[rows] = values
    return found
