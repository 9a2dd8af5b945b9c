"""Units that embed: a learn pass over a sample of all documents, then every shard. Threads are pinned to one.

Axes: N documents, D dimensions.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.core.threads import one_thread
from tasks.curate.published.documents import read_shard
from tasks.curate.statistics.shards import TextSource
from tasks.embedding import kinds
from tasks.embedding.kinds import Embed, Embedder

if TYPE_CHECKING:
    import pyarrow as pa

VECTORS = "vectors.npy"
# Documents on their way through curate, or those that it kept.
Shard = Handle | TextSource


@dataclass(frozen=True)
class LearnArgs:
    """Learn what the embedder needs from a sample of all shards."""

    shards: tuple[Shard, ...]
    embedder: Embedder
    max_chars: int | None
    seed: int


@dataclass(frozen=True)
class EmbedderFiles:
    """An embedder and the folder it is loaded from: what it learned, or a trained model."""

    config: Embedder
    files: Tree | None


@dataclass(frozen=True)
class EmbedArgs:
    """Embed the first characters of one shard's documents (None: all of them), a long text in chunks (None: whole)."""

    shard: Shard
    embedder: EmbedderFiles
    max_chars: int | None
    chunk_chars: int | None = None


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
    texts = beginnings(read(args.shard, ("text",))["text"], args.max_chars)
    with one_thread():
        vectors_ND = embedded(here.held, texts, args.chunk_chars)
    np.save(here.folder / VECTORS, vectors_ND)
    return UnitResult()


embedder_of = attrgetter("embedder")


def embedded(embed: Embed, texts: Sequence[str], chunk_chars: int | None = None) -> npt.NDArray[np.float32]:
    """Return the vectors of texts, shape [N, D].

    With `chunk_chars` a text is cut into chunks of as many characters, the last one shorter, and its vector is the mean of
    theirs, each counting for its characters, brought to length 1.
    """
    if chunk_chars is None:
        return embed(texts)
    chunks = [[text[at : at + chunk_chars] for at in range(0, max(1, len(text)), chunk_chars)] for text in texts]
    vectors_CD = embed([chunk for own in chunks for chunk in own])
    sums_ND = np.zeros((len(texts), vectors_CD.shape[1]), np.float32)
    start = 0
    for row, own in enumerate(chunks):
        sizes = np.array([len(chunk) for chunk in own], np.float32)
        sums_ND[row] = (vectors_CD[start : start + len(own)] * sizes[:, None]).sum(axis=0)
        start += len(own)
    lengths_N1 = np.linalg.norm(sums_ND, axis=1, keepdims=True)
    return (sums_ND / np.where(lengths_N1 > 0, lengths_N1, 1)).astype(np.float32)


def beginnings(texts: "pa.ChunkedArray", max_chars: int | None) -> list[str]:
    """Return the first `max_chars` characters of every text; None: all of them."""
    import pyarrow.compute as pc

    found: list[str] = (texts if max_chars is None else pc.utf8_slice_codeunits(texts, 0, max_chars)).to_pylist()
    return found


def read(shard: Shard, columns: Sequence[str]) -> "pa.Table":
    """Return columns of a shard of documents."""
    return shard.read(columns) if isinstance(shard, TextSource) else read_shard(shard.local(), columns)


def _hashed(args: LearnArgs) -> Iterable[tuple[int, str]]:
    for shard in args.shards:
        table = read(shard, ("id", "text"))
        for name, text in zip(table["id"].to_pylist(), beginnings(table["text"], args.max_chars), strict=True):
            yield seed_of(args.seed, "learn", name), text
