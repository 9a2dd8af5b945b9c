"""Units of scorers of vectors: what is learned of all documents, and the scores of a shard; threads are pinned to one."""

from dataclasses import dataclass
from typing import Any

from tasks.core.handles import Tree
from tasks.core.results import Here, UnitResult
from tasks.core.threads import one_thread
from tasks.curate.scorers import kinds
from tasks.curate.scorers.method import EmbeddedParams, EmbeddedPass, Given
from tasks.curate.scorers.unit import ChosenScorer, write_scores_of
from tasks.embedding import unit as embedding
from tasks.embedding.documents import EmbeddedShard, joined
from tasks.embedding.unit import EmbedderFiles


@dataclass(frozen=True)
class LearnArgs:
    """A scorer with its files, the documents of all shards, and what embeds other texts as they were embedded."""

    scorer: ChosenScorer
    shards: tuple[EmbeddedShard, ...]
    embedder: EmbedderFiles


@dataclass(frozen=True)
class ScoreArgs:
    """A shard, the scorer, and what it has learned (None: it learns nothing)."""

    shard: EmbeddedShard
    scorer: ChosenScorer
    learned: Tree | None


def learn(args: LearnArgs, here: Here) -> UnitResult:
    """Write what a scorer has learned of all documents; the summary is what people are told of it."""
    config, learning = args.scorer.config, kinds.method(args.scorer.config).learning
    assert isinstance(config, EmbeddedParams) and isinstance(learning, EmbeddedPass)
    read, embed = config.embedding, embedding.load(args.embedder)
    with one_thread():
        told = learning.learn(
            config,
            joined(args.shards),
            lambda texts: embedding.embedded(embed, [text[: read.max_chars] for text in texts], read.chunk_chars),
            args.scorer.local,
            here.folder,
        )
    return UnitResult(summary=dict(told))


def score_shard(args: ScoreArgs, here: Here) -> UnitResult:
    """Write the scores of every document of a shard."""
    documents, config = args.shard.read(), args.scorer.config
    with one_thread():
        found = kinds.method(config).score(config, documents, here.held)
    return write_scores_of(config, args.shard.texts.read(("id", "source")), found, here)


def held_scorer(args: ScoreArgs) -> tuple[ChosenScorer, Tree | None]:
    """Return what a worker keeps something for."""
    return args.scorer, args.learned


def load_held(of: tuple[ChosenScorer, Tree | None]) -> Any:
    """Return what a worker keeps: what the scorer has learned."""
    scorer, learned = of
    given = Given(scorer.local, learned.local() if learned else None)
    return kinds.method(scorer.config).load(scorer.config, given)
