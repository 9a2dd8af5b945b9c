"""Units that embed: a learn pass over a sample of all documents, then every shard. Threads are pinned to one.

Axes: N documents, D dimensions.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from tasks.cluster.embedders import kinds
from tasks.cluster.embedders.kinds import Embed, Embedder
from tasks.cluster.threads import one_thread
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.curate.published.documents import read_beginnings, read_shard

VECTORS = "vectors.npy"


@dataclass(frozen=True)
class LearnArgs:
    """Learn what the embedder needs from a sample of all shards."""

    shards: tuple[Handle, ...]
    embedder: Embedder
    max_chars: int
    seed: int


@dataclass(frozen=True)
class EmbedderFiles:
    """An embedder and the folder it is loaded from: what it learned, or the user's model."""

    config: Embedder
    files: Tree | None


@dataclass(frozen=True)
class EmbedArgs:
    """Embed the first characters of one shard's documents."""

    shard: Handle
    embedder: EmbedderFiles
    max_chars: int


def learn(args: LearnArgs, here: Here) -> UnitResult:
    """Learn from the documents whose hashed ids are smallest: a sample that no order of shards can change."""
    size = kinds.sample_size(args.embedder)
    assert size is not None, "only who learns has a learn pass"
    with one_thread():
        sample = heapq.nsmallest(size, _hashed(args), key=lambda entry: entry[0])
        kinds.learn(args.embedder, [text for _, text in sample], args.seed, here.folder)
    return UnitResult()


def load(embedder: EmbedderFiles) -> Embed:
    """Return the embedder, for a worker to hold."""
    return kinds.load(embedder.config, None if embedder.files is None else embedder.files.local())


def embed(args: EmbedArgs, here: Here) -> UnitResult:
    """Embed the documents of a shard with the embedder that this worker holds."""
    texts = read_beginnings(args.shard.local(), args.max_chars)
    with one_thread():
        vectors_ND = here.held(texts)
    np.save(here.folder / VECTORS, vectors_ND)
    return UnitResult()


embedder_of = attrgetter("embedder")


def _hashed(args: LearnArgs) -> Iterable[tuple[int, str]]:
    for shard in args.shards:
        ids = read_shard(shard.local(), ["id"])["id"].to_pylist()
        for name, text in zip(ids, read_beginnings(shard.local(), args.max_chars), strict=True):
            yield seed_of(args.seed, "learn", name), text
