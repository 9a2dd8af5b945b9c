"""What kinds of selection share: the groups they are made in, the values they look at, and the interval that is kept.

Axes: N documents of one group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.params import Params

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Group = Literal["source", "language"]


class SelectionParams(Params):
    """`score` is a column of a scorer. `by`: each of these groups is selected from alone; (): all documents together."""

    score: Annotated[str, Field(min_length=1)]
    by: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Values:
    """What is known of the documents of a group: scores (NaN: none), tokens, and a number in [0, 2^53) from each id."""

    score_N: Floats
    tokens_N: Ints
    id_N: Ints


@dataclass(frozen=True, order=True)
class Place:
    """A place in the order of documents: by key, and of equal keys by the number of the id."""

    key: float
    id: int


@dataclass(frozen=True)
class Interval:
    """The places that are kept, both ends included. `mean` and `sd` are what scores are standardised by, where they are."""

    low: Place
    high: Place
    mean: float = 0.0
    sd: float = 1.0

    def holds(self, key_N: Floats, id_N: Ints) -> Bools:
        """Return which documents lie within; those without a score do not."""
        above = (key_N > self.low.key) | ((key_N == self.low.key) & (id_N >= self.low.id))
        below = (key_N < self.high.key) | ((key_N == self.high.key) & (id_N <= self.high.id))
        within: Bools = above & below
        return within


LOWEST, HIGHEST = Place(-np.inf, 0), Place(np.inf, 2**53)
# Nothing lies within.
NOTHING = Interval(HIGHEST, LOWEST)


@dataclass(frozen=True)
class SelectionMethod:
    """A kind of selection: an interval of keys.

    `interval(config, values)` says which; `key(config, values, interval)` gives the keys, float64 [N], that
    documents are ordered by. `words(config)` tells people what is kept.
    """

    interval: Callable[[Any, Values], Interval]
    key: Callable[[Any, Values, Interval], Floats]
    words: Callable[[Any], str]


def score_itself(config: Any, values: Values, interval: Interval) -> Floats:
    """Return scores as keys."""
    return values.score_N


def ascending(key_N: Floats, id_N: Ints) -> Ints:
    """Return the documents that have a key, lowest first; of equal keys by the number of the id."""
    order: Ints = np.lexsort((id_N, key_N)).astype(np.int64)
    return order[~np.isnan(key_N[order])]


def highest(key_N: Floats, values: Values, share: float) -> Place | None:
    """Return the lowest place of those highest ones that have no more than a share of all tokens; None: none fits."""
    order = ascending(key_N, values.id_N)[::-1]
    within = np.flatnonzero(np.cumsum(values.tokens_N[order]) <= share * int(values.tokens_N.sum()))
    # Tokens may be 0, and so the last one within is what counts.
    return place(key_N, values.id_N, order[within[-1]]) if len(within) else None


def place(key_N: Floats, id_N: Ints, row: int) -> Place:
    """Return the place of a document."""
    return Place(float(key_N[row]), int(id_N[row]))
