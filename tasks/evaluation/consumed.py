"""Which documents a run saw, from its executed plan: how often it trained on each, checked against its ledger.

Axes: D documents of a domain's train split.
"""

from collections.abc import Sequence

import numpy as np

from tasks.core.errors import AccountError
from tasks.tokenize.pool import SplitTokens, TokenPool
from tasks.training.data import RunData, run_data
from tasks.training.exposure import tokens_seen
from tasks.training.interleave import Floats, Integers
from tasks.training.rows import SPLIT
from tasks.training.types import RunSpec


def exposures(spec: RunSpec, pool: TokenPool, consumed: Sequence[int]) -> tuple[Floats, ...]:
    """Return for each domain how often a run trained on the tokens of each document on average, [D]; 0 = never.

    `consumed` are the samples of each domain that the run's ledger counts.

    Raises:
        AccountError: the plan draws other numbers of samples than the ledger counts.
    """
    data = consumed_data(spec, pool, consumed)
    sizes = [document_sizes(domain.splits[SPLIT]) for domain in pool.domains]
    return tuple(tokens_seen(data, domain) / sizes_D for domain, sizes_D in enumerate(sizes))


def consumed_data(spec: RunSpec, pool: TokenPool, consumed: Sequence[int]) -> RunData:
    """Return what a run read, by its plan, checked against the samples of each domain that its ledger counts.

    Raises:
        AccountError: as `exposures`.
    """
    data = run_data(spec, pool)
    planned = np.sum(data.drawn_before(data.num_samples), axis=0).tolist()
    if planned != list(consumed):
        raise AccountError(
            f"{spec.name}: its plan draws {planned} samples of the domains {', '.join(pool.names)}, its ledger counts "
            f"{list(consumed)}. The pool or `runs.json` is not that of the run: get both again (`dvc pull`)."
        )
    return data


def document_sizes(split: SplitTokens) -> Integers:
    """Return the tokens of each document, with its end, [D]."""
    return np.diff(np.append(split.starts.astype(np.int64), split.tokens.size))
