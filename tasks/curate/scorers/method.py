"""What scorers share: a name, the documents they are given, and what one is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from tasks.core.asking import Request
from tasks.core.params import Params
from tasks.curate.statistics.texts import Columns, Texts, texts_of
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed
from tasks.embedding.params import Embedding

Files = Mapping[str, Path]


class ScorerParams(Params):
    """Params of every scorer. `name` is the name of its column of scores; further columns begin with it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class EmbeddedParams(ScorerParams):
    """Params of every scorer of vectors. Of scorers that name the same `embedding` each document is embedded once."""

    embedding: Embedding = Embedding()


@dataclass(frozen=True)
class Documents(Texts):
    """Texts, and in `table` the rows they stand in: `id`, `source`, and the columns that a scorer `reads` besides."""

    table: pa.Table


def documents_of(table: pa.Table) -> Documents:
    """Return documents from a table with a column `text`."""
    texts = texts_of(table["text"])
    return Documents(texts.data, texts.offsets, table)


@dataclass(frozen=True)
class Given:
    """What a scorer finds where it runs: the user's files, what it has learned (None: nothing), and where models compute."""

    files: Files
    learned: Path | None = None
    device: str = "cpu"


def _no_files(config: Any) -> Files:
    return {}


def _its_files(config: Any, given: Given) -> Files:
    return given.files


@dataclass(frozen=True)
class LearningPass:
    """What a scorer learns from all documents before it scores one.

    `look(config, documents, held)` says of a shard what has to be known of it: a table, of which those of all shards are
    told together. `held` is what `load(config, given)` gave, kept from shard to shard: where nothing else is said, the
    user's files. It is given these where it `looks_at_files`, such as labels by id, and none where not. `look_fields` are
    the fields of the config that are looked with, None: all; no other makes a look again. `on_device`: looks compute on
    a GPU where there is one. `questions(config, looks)` are asked of an endpoint, where the config names one, and the
    answers are among the files of `learn`.
    `learn(config, looks, files, folder)` writes files into `folder`, of which `publishes` are published, and returns what
    people are told; it must not matter how documents lie in shards. `told_of_kept(config, looks, learned)` says of the
    documents that were kept, looked at in the same way, what people want to know of the selection.
    """

    look: Callable[[Any, Documents, Any], pa.Table]
    learn: Callable[[Any, Iterable[pa.Table], Files, Path], Mapping[str, Any]]
    told_of_kept: Callable[[Any, Iterable[pa.Table], Path], Mapping[str, float]] | None = None
    looks_at_files: bool = False
    load: Callable[[Any, Given], Any] = _its_files
    look_fields: tuple[str, ...] | None = None
    on_device: bool = False
    publishes: tuple[str, ...] = ()
    questions: Callable[[Any, Iterable[pa.Table]], Iterable[Request]] | None = None


@dataclass(frozen=True)
class EmbeddedPass:
    """What a scorer of vectors learns from those of all documents before it scores one.

    `learn(config, documents, embed, files, folder)` is given all documents in the order of their ids, and `embed`, which
    gives the vectors of other texts, such as a target's. It writes files into `folder`, of which `publishes` are published
    where they are, and returns what people are told.
    """

    learn: Callable[[Any, EmbeddedDocuments, Embed, Files, Path], Mapping[str, Any]]
    publishes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Which of the user's files are a scorer's target, JSONL records, and which of their fields are its text (None: all)."""

    files: tuple[str, ...]
    fields: tuple[str, ...] | None


@dataclass(frozen=True)
class ScorerMethod:
    """A scorer: `score(config, documents, held)` gives `columns`, one number per document, NaN where there is none.

    Of the columns "" is the score; the names of others stand behind that of the scorer. `held` is what `load(config, given)`
    gave, kept from shard to shard. `user_files(config)` names the user's files, which `file_fields` of the config point to;
    ConfigError where one does not exist. `reads`: columns of ingested documents besides text, id and source. `on_device`:
    scores are computed by a model on a GPU where there is one.

    `target(config, files)` says which of the files, by their names, are texts that documents are likened to: documents that
    are such a text themselves are counted.

    A scorer with `EmbeddedParams` is given `EmbeddedDocuments` in place of documents, and its learning is an `EmbeddedPass`.
    """

    columns: tuple[str, ...]
    score: Callable[[Any, Any, Any], Columns]
    load: Callable[[Any, Given], Any]
    user_files: Callable[[Any], Files] = _no_files
    file_fields: tuple[str, ...] = ()
    learning: LearningPass | EmbeddedPass | None = None
    reads: tuple[str, ...] = ()
    on_device: bool = False
    target: Callable[[Any, Iterable[str]], Target] | None = None


def column(name: str, part: str) -> str:
    """Return the name of a column of a scorer.

    >>> column("med", ""), column("med", "words")
    ('med', 'med_words')
    """
    return f"{name}_{part}" if part else name
