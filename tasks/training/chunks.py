"""Chunk-interleaved documents: long dependencies out of documents that are not long (LongSkywork, arXiv 2406.00605).

Documents are taken in groups, each is split into chunks, and the chunks of a group are laid out in turn: the first of every
document, the second of every document, and so on. So each document stays in order, and what belongs together stands far
apart. Which chunk size and how many documents do good, the paper's abstract does not say.

Axes: C copies of documents, Q chunks.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.training.interleave import Integers

# A chunk takes some 50 bytes of memory while rows are made (a guess: so many take 7 GB).
MOST_CHUNKS = 1 << 27


class Interleave(Params):
    """How the documents of a domain are split and interleaved; both numbers are yours to choose, by trying."""

    chunk_tokens: PositiveInt = Field(description="tokens of a chunk; the last one of a document may have fewer")
    documents: int = Field(ge=2, description="whose chunks are laid out in turn, neighbours in the pool")

    @property
    def words(self) -> str:
        """What is done, for people."""
        return f"chunks of {self.chunk_tokens:,} tokens of {self.documents} documents in turn"


@dataclass(frozen=True)
class Chunks:
    """Chunks in the order in which they are laid out: place of the document's copy, first token in it, and tokens, [Q]."""

    copies: Integers
    begins: Integers
    lengths: Integers


def in_turn(config: Interleave, lengths_C: Integers, domain: str) -> Chunks:
    """Return the chunks of documents with so many tokens, group by group: the first of each document, the second, ...

    >>> found = in_turn(Interleave(chunk_tokens=2, documents=2), np.array([3, 5, 1]), "a")
    >>> found.copies.tolist(), found.begins.tolist(), found.lengths.tolist()
    ([0, 1, 0, 1, 1, 2], [0, 0, 2, 2, 4, 0], [2, 2, 1, 2, 1, 1])

    Raises:
        ConfigError: there would be more chunks than can be laid out.
    """
    size = config.chunk_tokens
    numbers_C = -(-lengths_C // size)
    if not (count := int(numbers_C.sum())) <= MOST_CHUNKS:
        raise ConfigError(
            f"{domain}: interleave.chunk_tokens {size} splits its documents into {count:,} chunks, and at most "
            f"{MOST_CHUNKS:,} can be laid out. Raise chunk_tokens."
        )
    copies_Q = np.repeat(np.arange(len(lengths_C)), numbers_C)
    places_Q = np.arange(count) - np.repeat(np.cumsum(numbers_C) - numbers_C, numbers_C)
    order = np.lexsort((copies_Q, places_Q, copies_Q // config.documents))
    copies_Q, begins_Q = copies_Q[order], places_Q[order] * size
    return Chunks(copies_Q, begins_Q, np.minimum(size, lengths_C[copies_Q] - begins_Q))
