"""Packing: documents one after the other in a seeded order, each ended by the end token; nothing lost or doubled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.rng import generator
from tasks.tokenize.pool import Tokens

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packed:
    """Packed tokens, and in their order the documents: number, first token, and tokens with the end."""

    tokens: Ints
    order: Ints
    first_token: Ints
    lengths: Ints


def pack(documents: Sequence[Tokens], *, document_end: int, seed: int, domain: str, split: str) -> Packed:
    """Return the documents of one domain and split, packed in an order that depends on the seed and these names."""
    order = generator(seed, "pack", domain, split).permutation(len(documents)).astype(np.int64)
    end = np.array([document_end], dtype=np.int64)
    parts = [part for number in order.tolist() for part in (documents[number].astype(np.int64), end)]
    lengths = np.array([documents[number].size + 1 for number in order.tolist()], dtype=np.int64)
    tokens = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    return Packed(tokens, order, np.cumsum(lengths) - lengths, lengths)
