"""The steps of scorers of vectors: documents are embedded once for all that name the same embedding."""

from collections.abc import Sequence

from tasks.core.handles import Tree
from tasks.curate.scorers import kinds
from tasks.curate.scorers.embedded import LearnArgs, ScoreArgs, held_scorer, learn, load_held, score_shard
from tasks.curate.scorers.method import EmbeddedParams
from tasks.curate.scorers.unit import ChosenScorer
from tasks.curate.statistics.shards import TextSource
from tasks.embedding import kinds as embedders
from tasks.embedding import unit as embedding
from tasks.embedding.documents import EmbeddedShard
from tasks.embedding.params import Embedding
from tasks.embedding.unit import VECTORS, EmbedArgs, EmbedderFiles
from tasks.runtime.context import Workshop
from tasks.runtime.files import folder_tree
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step

FIT = Step("curate.embedder", "curate: an embedder learns", embedding.learn)
EMBED = Step("curate.embed", "curate: vectors", embedding.embed, hold=Hold(embedding.embedder_of, embedding.load))
LEARN = Step("curate.learn_vectors", "curate: scorers learn from vectors", learn)
SCORE = Step("curate.score_vectors", "curate: scores of vectors", score_shard, hold=Hold(held_scorer, load_held))
# The sample that an embedder learns from is the same for all scorers.
_SEED = 0


def embedder_files(read: Embedding) -> Tree | None:
    """Return the files of the trained model that embeds, if it is one that lies on this machine, with their digests.

    Raises:
        ConfigError: the package that has them is not installed.
    """
    files = embedders.model_files(read.embedder)
    return None if files is None else folder_tree(files.folder, files.names)


def without_place(read: Embedding) -> Embedding:
    """Return an embedding without the path of a model's folder, whose content is what counts."""
    return read.model_copy(update={"embedder": embedders.without_place(read.embedder)})


def scored(
    workshop: Workshop, scorer: ChosenScorer, texts: Sequence[TextSource]
) -> tuple[UnitRecord | None, list[UnitRecord]]:
    """Return the records of what a scorer of vectors has learned, if it learns, and of the scores of every shard."""
    assert isinstance(scorer.config, EmbeddedParams)
    files, shards = _embedded(workshop, scorer.config.embedding, scorer.embedder, texts)
    learning = kinds.method(scorer.config).learning
    learned = None if learning is None else LEARN.one(workshop, LearnArgs(scorer, shards, files))
    tree = None if learned is None else learned.tree
    return learned, SCORE.map(workshop, [ScoreArgs(shard, scorer, tree) for shard in shards])


def _embedded(
    workshop: Workshop, read: Embedding, model: Tree | None, texts: Sequence[TextSource]
) -> tuple[EmbedderFiles, tuple[EmbeddedShard, ...]]:
    if embedders.sample_size(read.embedder) is not None:
        args = embedding.LearnArgs(tuple(texts), read.embedder, read.max_chars, _SEED)
        model = FIT.one(workshop, args).tree
    files = EmbedderFiles(read.embedder, model)
    records = EMBED.map(workshop, [EmbedArgs(text, files, read.max_chars, read.chunk_chars) for text in texts])
    shards = [EmbeddedShard(text, one.file(VECTORS)) for text, one in zip(texts, records, strict=True)]
    return files, tuple(shards)
