"""Numbers of documents that the token pool keeps, checked: how often each is there, what it counts, what it is sorted by.

Axes: D documents of a domain.
"""

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError
from tasks.core.rng import seed_of
from tasks.tokenize.pool import SplitTokens
from tasks.training.interleave import Floats, Integers
from tasks.training.permutation import mixed

# A copy takes some 50 bytes of memory while rows are made (a guess: so many take 7 GB).
_MOST_COPIES = 1 << 27


def column_of(own: SplitTokens, domain: str, column: str) -> Floats:
    """Return a column of numbers of each document, [D].

    Raises:
        ConfigError: the pool lacks it.
    """
    if column not in own.columns:
        raise ConfigError(
            f"{domain}: the token pool has no number called {column} of each document; it has "
            f"{', '.join(own.columns) or 'none'}. Name it in tokenize.document_columns and run tokenize again."
        )
    return own.columns[column]


def finite(own: SplitTokens, domain: str, column: str) -> Floats:
    """Return a column of finite numbers, [D].

    Raises:
        DataError: one is not finite, how many and the first.
    """
    scores_D = column_of(own, domain, column)
    wrong = np.flatnonzero(~np.isfinite(scores_D))
    if wrong.size:
        raise DataError(
            f"{domain}: {wrong.size} of {len(scores_D)} documents have a {column} that is no finite number; first: document "
            f"{wrong[0]} with {scores_D[wrong[0]]}. Correct the column, and run tokenize again."
        )
    return scores_D


def copies(weights_D: Floats, ids_D: npt.NDArray[np.uint64], seed: int, domain: str) -> Integers:
    """Return how often each document is there: floor(w) + [hash(seed, id) < frac(w)].

    Raises:
        DataError: a weight is negative or no number, how many and the first; or they ask for too many copies.
    """
    _require_weights(weights_D, domain)
    if not weights_D.sum() <= _MOST_COPIES:
        largest = int(weights_D.argmax())
        raise DataError(
            f"{domain}: {len(weights_D)} weights ask for {weights_D.sum():.3g} copies of documents, and at most "
            f"{_MOST_COPIES:,} can be laid out; the largest: document {largest} with {weights_D[largest]:.3g}. Lower them."
        )
    whole_D = np.floor(weights_D)
    key = np.uint64(seed_of(seed, "document weights") % (1 << 64))
    shares_D = (mixed(ids_D ^ key) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (whole_D + (shares_D < weights_D - whole_D)).astype(np.int64)


def loss_weights(own: SplitTokens, domain: str, column: str) -> Floats:
    """Return what a token of each document counts in the loss, [D].

    Raises:
        DataError: a weight is negative or no number, how many and the first.
    """
    weights_D = column_of(own, domain, column)
    _require_weights(weights_D, domain)
    return weights_D


def _require_weights(weights_D: Floats, domain: str) -> None:
    wrong = np.flatnonzero(~(np.isfinite(weights_D) & (weights_D >= 0)))
    if wrong.size:
        raise DataError(
            f"{domain}: {wrong.size} of {len(weights_D)} documents have a weight that is negative or no number; first: "
            f"document {wrong[0]} with {weights_D[wrong[0]]}. Correct the column, and run tokenize again."
        )
