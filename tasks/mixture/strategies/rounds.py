"""The rounds of a search: how many mixtures each measures, and what methods of one round have in common.

Axes: D domains.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.mixture.designs.swarm import Swarm, swarm
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence, brought_in, under_caps

Array = npt.NDArray[np.float64]


def one_round(params: object, num_runs: int) -> tuple[int, ...]:
    """Return all runs as one round."""
    return (num_runs,)


def in_proportion(parts: Sequence[float], num_runs: int) -> tuple[int, ...]:
    """Return `num_runs` split in proportion to `parts`, the largest remainders rounded up.

    >>> in_proportion((4, 2, 1), 48)
    (27, 14, 7)

    Raises:
        ConfigError: a round would be empty.
    """
    exact = [num_runs * part / sum(parts) for part in parts]
    counts = [int(value) for value in exact]
    for index in sorted(range(len(parts)), key=lambda index: counts[index] - exact[index])[: num_runs - sum(counts)]:
        counts[index] += 1
    if min(counts) < 1:
        raise ConfigError(f"{num_runs} runs are too few for {len(parts)} rounds: raise the number of runs.")
    return tuple(counts)


def in_batches(first: int, batch: int, num_runs: int) -> tuple[int, ...]:
    """Return `first` runs, then batches of `batch`, the last one smaller where they do not fit.

    >>> in_batches(10, 6, 24)
    (10, 6, 6, 2)
    """
    first = min(first, num_runs)
    whole, rest = divmod(num_runs - first, batch)
    return (first, *([batch] * whole), *([rest] if rest else []))


def swarm_under_caps(params: Swarm, problem: Problem, count: int, seed: int) -> Array:
    """Return the swarm under the proxies' caps, shape [count, D]."""
    drawn_MD = swarm(params, problem.natural, count, seed)
    return np.array([under_caps(row_D, problem.proxy_caps_D)[0] for row_D in drawn_MD])


def with_optimum(
    params: Swarm, problem: Problem, evidence: Evidence, optimum: tuple[Array, float], count: int, seed: int
) -> tuple[Proposal, ...]:
    """Return the mixture that the method would ship (with its predicted objective), then more of the swarm.

    The methods themselves never measure again; a search that has runs left over does this with them.
    """
    best_D, predicted = optimum
    kept_D, moved = brought_in(problem, best_D)
    found = [Proposal(weights=tuple(kept_D.tolist()), reason="optimum", predicted=predicted, moved=moved)]
    for row_D in swarm(params, problem.natural, 2 * count, seed):
        kept_D, moved = brought_in(problem, row_D)
        found.append(Proposal(weights=tuple(kept_D.tolist()), reason="random", moved=moved))
    taken = {row.weights for row in evidence.runs.rows}
    return tuple({p.weights: p for p in reversed(found) if p.weights not in taken}.values())[::-1][:count]
