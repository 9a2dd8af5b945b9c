"""What kinds of selection share: the groups they are made in, the documents they look at, and what they say of these.

Axes: N documents of one group.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from tasks.core.errors import DataError
from tasks.core.params import Params
from tasks.core.rng import seed_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Name = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]

# How the reason begins of a document that is not selected.
NOT_SELECTED = "not_selected_by_"
# What groups are made by besides numbers of documents.
GROUPS = ("source", "language")

_ROUND = np.uint64(0xD6E8FEB86659FD93)


def _each_once(by: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(by)) != len(by):
        raise ValueError(f"by names a column twice: {', '.join(by)}.")
    return by


By = Annotated[tuple[Name, ...], AfterValidator(_each_once)]


class SelectionParams(Params):
    """`score` is a column of scores. `by`: each group is selected from alone; (): all documents together.

    Groups are those of `source`, `language`, or a column of scores whose numbers are labels; of two names each cell is one.
    """

    score: Name
    by: By = ()


@dataclass(frozen=True)
class Values:
    """What is known of the documents of a group: scores (NaN: none), tokens, and a number in [0, 2^53) from each id."""

    score_N: Floats
    tokens_N: Ints
    id_N: Ints


@dataclass(frozen=True)
class Chosen:
    """Which documents of a group are kept, what they weigh (None: 1), and how many tokens they may have (None: any).

    `outside`: documents whose score is no probability, where one is asked for.
    """

    kept_N: Bools
    weight_N: Floats | None = None
    allowed_tokens: int | None = None
    outside: int = 0


Groups = Mapping[str, Values]


@dataclass(frozen=True)
class SelectionMethod:
    """A kind of selection: `choose(config, groups)` says what is kept of each group; `words(config)` tells people.

    What is kept may follow from nothing but the documents of all groups, whatever their order. A group that the config
    names and no document belongs to may be among what is chosen.
    """

    choose: Callable[[Any, Groups], Mapping[str, Chosen]]
    words: Callable[[Any], str]


def each(kept: Callable[[Any, Values], Bools]) -> Callable[[Any, Groups], Mapping[str, Chosen]]:
    """Return how a selection chooses that looks at each group alone."""
    return lambda config, groups: {name: Chosen(kept(config, values)) for name, values in groups.items()}


def ascending(key_N: Floats, id_N: Ints) -> Ints:
    """Return the documents that have a key, lowest first; of equal keys by the number of the id."""
    order: Ints = np.lexsort((id_N, key_N)).astype(np.int64)
    return order[~np.isnan(key_N[order])]


def highest(key_N: Floats, values: Values, tokens: float) -> Bools:
    """Return the documents with the highest keys, as many as have no more than so many tokens together."""
    order = ascending(key_N, values.id_N)[::-1]
    within = np.flatnonzero(np.cumsum(values.tokens_N[order]) <= tokens)
    kept_N = np.zeros(len(key_N), np.bool_)
    # Tokens may be 0, and so the last one within is what counts.
    kept_N[order[: within[-1] + 1 if len(within) else 0]] = True
    return kept_N


def standard(score_N: Floats) -> Floats:
    """Return scores less their mean, over their standard deviation; NaN stays, and 0 is what does not vary.

    Raises:
        DataError: some are infinite, and so there is no mean.
    """
    if infinite := int(np.isinf(score_N).sum()):
        raise DataError(
            f"{infinite:,} of {len(score_N):,} scores are infinite and cannot be standardised. Take ranks (mean_ranks) or "
            "quantiles of that score."
        )
    mean, deviation = moments(score_N)
    return (score_N - mean) / (deviation or 1.0)


def moments(score_N: Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation of scores that are not NaN, whatever their order; 0 where there is none.

    >>> moments(np.array([1.0, np.nan, 3.0]))
    (2.0, 1.0)
    """
    found = score_N[~np.isnan(score_N)]
    mean = math.fsum(found) / max(1, len(found))
    return mean, math.sqrt(math.fsum((found - mean) ** 2) / max(1, len(found)))


def uniform(seed: int, id_N: Ints) -> Floats:
    """Return numbers between 0 and 1 of documents, float64 [N], from the seed and the numbers of their ids."""
    mixed = id_N.astype(np.uint64) ^ np.uint64(seed_of(seed, "selection") & (2**64 - 1))
    for _ in range(3):
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _ROUND
    # 53 bits, in the middle of their interval: neither 0 nor 1.
    found: Floats = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return found
