"""The units of scorers: a look at each shard, what is learned of all looks, and the scores of a shard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.asking import Endpoint, write_requests
from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.published.documents import write_scores
from tasks.curate.scorers import kinds
from tasks.curate.scorers.kinds import Scorer
from tasks.curate.scorers.method import Given, LearningPass, column, documents_of
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Columns

LOOK_FILE, SCORES_FILE, QUESTIONS_FILE = "look.parquet", "scores.parquet", "questions.jsonl"


@dataclass(frozen=True)
class ChosenScorer:
    """A scorer of the run, and the user's files that its config names; the fields that point to them are empty.

    `embedder`: the files of the trained model whose vectors it is given. `endpoint`: what it asks before it learns; what
    counts of it is what it answers.
    """

    config: Scorer
    files: Mapping[str, Handle]
    embedder: Tree | None = None
    endpoint: Endpoint | None = field(default=None, metadata=LABEL)

    @property
    def local(self) -> dict[str, Path]:
        """The files as they lie on this machine."""
        return {name: file.local() for name, file in self.files.items()}


@dataclass(frozen=True)
class LookArgs:
    """A shard, after the steps that change texts, the scorer that looks at it with the files that it looks at too.

    The kind of `device`, on which its model computes, is in the key of every step on a device.
    """

    texts: TextSource
    scorer: ChosenScorer
    device: str = field(default="cpu", metadata=LABEL)


@dataclass(frozen=True)
class QuestionsArgs:
    """A scorer that asks an endpoint, and its looks at all shards."""

    scorer: Scorer
    looks: tuple[Handle, ...]


@dataclass(frozen=True)
class LearnArgs:
    """A scorer with its files, and its looks at all shards."""

    scorer: ChosenScorer
    looks: tuple[Handle, ...]


@dataclass(frozen=True)
class ToldArgs:
    """A scorer, what it has learned, and its looks at the documents that were kept."""

    scorer: Scorer
    learned: Tree
    looks: tuple[Handle, ...]


@dataclass(frozen=True)
class ScoreArgs:
    """A shard, after the steps that change texts, the scorer, and what it has learned (None: it learns nothing)."""

    texts: TextSource
    scorer: ChosenScorer
    learned: Tree | None
    device: str = field(default="cpu", metadata=LABEL)


def look_shard(args: LookArgs, here: Here) -> UnitResult:
    """Write what a scorer has to know of the documents of a shard."""
    config = args.scorer.config
    documents = documents_of(args.texts.read(_read(config)))
    write_table(_learning(config).look(config, documents, here.held), here.folder / LOOK_FILE)
    return UnitResult()


def write_questions(args: QuestionsArgs, here: Here) -> UnitResult:
    """Write what a scorer asks an endpoint before it learns."""
    ask = _learning(args.scorer).questions
    assert ask is not None
    looks = (read_table(look.local()) for look in args.looks)
    return UnitResult(summary={"questions": write_requests(ask(args.scorer, looks), here.folder / QUESTIONS_FILE)})


def learn(args: LearnArgs, here: Here) -> UnitResult:
    """Write what a scorer has learned of all documents; the summary is what people are told of it."""
    looks = (read_table(look.local()) for look in args.looks)
    config = args.scorer.config
    return UnitResult(summary=dict(_learning(config).learn(config, looks, args.scorer.local, here.folder)))


def tell_of_kept(args: ToldArgs, here: Here) -> UnitResult:
    """Return in the summary what a scorer has to say of the documents that were kept."""
    tell = _learning(args.scorer).told_of_kept
    assert tell is not None
    looks = (read_table(look.local()) for look in args.looks)
    return UnitResult(summary=dict(tell(args.scorer, looks, args.learned.local())))


def score_shard(args: ScoreArgs, here: Here) -> UnitResult:
    """Write the scores of every document of a shard.

    Raises:
        DataError: the scorer gave another number of scores than there are documents.
    """
    config = args.scorer.config
    documents = args.texts.read(_read(config))
    found = kinds.method(config).score(config, documents_of(documents), here.held)
    return write_scores_of(config, documents, found, here)


def write_scores_of(config: Scorer, documents: pa.Table, found: Columns, here: Here) -> UnitResult:
    """Write the scores of the documents of a shard, count those that have none, and tell the lowest and the highest.

    Raises:
        DataError: there is another number of scores than of documents.
    """
    columns: dict[str, Any] = {"id": documents["id"], "source": documents["source"]}
    for part, values in found.items():
        if len(values) != documents.num_rows:
            raise DataError(f"scorer {config.name}: {len(values):,} scores of {documents.num_rows:,} documents.")
        columns[column(config.name, part)] = pa.array(values)
    write_scores(pa.table(columns), here.folder / SCORES_FILE)
    score_N = np.asarray(found[""], np.float64)
    finite_N = score_N[np.isfinite(score_N)]
    ends = [float(finite_N.min()), float(finite_N.max())] if len(finite_N) else []
    return UnitResult(
        summary={
            "documents": len(score_N),
            "without": int(np.isnan(score_N).sum()),
            "finite": len(finite_N),
            "ends": ends,
        }
    )


def held_looker(args: LookArgs) -> tuple[ChosenScorer, str]:
    """Return what a worker keeps something for, to look at documents."""
    return args.scorer, args.device


def load_looker(of: tuple[ChosenScorer, str]) -> Any:
    """Return what a worker keeps to look at documents: a model, or where files lie."""
    scorer, device = of
    return _learning(scorer.config).load(scorer.config, Given(scorer.local, device=device))


def held_scorer(args: ScoreArgs) -> tuple[ChosenScorer, Tree | None, str]:
    """Return what a worker keeps something for."""
    return args.scorer, args.learned, args.device


def load_held(of: tuple[ChosenScorer, Tree | None, str]) -> Any:
    """Return what a worker keeps: what the scorer has learned, or its model."""
    scorer, learned, device = of
    given = Given(scorer.local, learned.local() if learned else None, device)
    return kinds.method(scorer.config).load(scorer.config, given)


def _read(config: Scorer) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("id", "source", "text", *kinds.method(config).reads)))


def _learning(config: Scorer) -> LearningPass:
    learning = kinds.method(config).learning
    assert isinstance(learning, LearningPass)
    return learning
