"""How documents begin: with nothing but the end of the one before, or with the first tokens of training documents."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.tokenize.pool import TokenPool
from tasks.training.rows import SPLIT


@dataclass(frozen=True)
class Beginning:
    """The tokens that a document begins with, and where they are from: `domain:place`, null where none are given."""

    tokens: npt.NDArray[np.int64]
    prompt: str | None


def beginnings(pool: TokenPool | None, num_tokens: int, seed: int, first: int, count: int) -> list[Beginning]:
    """Return how `count` documents begin, from number `first` on: each training document in turn, in a random order.

    Without a pool they begin with nothing.

    Raises:
        ConfigError: no training document is longer than `num_tokens`.
    """
    if pool is None:
        return [Beginning(np.empty(0, dtype=np.int64), None)] * count
    there = [*_long_enough(pool, num_tokens)]
    if not there:
        raise ConfigError(
            f"prompt_tokens {num_tokens}: none of the pool's training documents has more. Lower it, or set it to 0."
        )
    order = generator(seed, "beginnings").permutation(len(there))
    chosen = (there[int(order[number % len(there)])] for number in range(first, first + count))
    return [_of(pool, domain, place, num_tokens) for domain, place in chosen]


def _long_enough(pool: TokenPool, num_tokens: int) -> Iterator[tuple[int, int]]:
    """Yield domain and place of each training document that goes on behind so many tokens."""
    for domain in pool.domains:
        split = domain.splits[SPLIT]
        lengths = np.diff(np.append(split.starts, split.tokens.size).astype(np.int64)) - 1
        yield from ((domain.index, place) for place in np.flatnonzero(lengths > num_tokens).tolist())


def _of(pool: TokenPool, domain: int, place: int, num_tokens: int) -> Beginning:
    split = pool.domains[domain].splits[SPLIT]
    start = int(split.starts[place])
    return Beginning(split.tokens[start : start + num_tokens].astype(np.int64), f"{pool.names[domain]}:{place}")
