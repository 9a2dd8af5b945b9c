"""What methods of one round have in common: a swarm to measure, and the optimum of what they fit to it.

Axes: D domains.
"""

import numpy as np
import numpy.typing as npt

from tasks.mixture.designs.swarm import Swarm, swarm
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.strategies.evidence import Evidence, under_caps

Array = npt.NDArray[np.float64]


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
    kept_D, moved = under_caps(best_D, problem.caps_D)
    found = [Proposal(weights=tuple(kept_D.tolist()), reason="optimum", predicted=predicted, moved=moved)]
    for row_D in swarm(params, problem.natural, 2 * count, seed):
        kept_D, moved = under_caps(row_D, problem.caps_D)
        found.append(Proposal(weights=tuple(kept_D.tolist()), reason="random", moved=moved))
    taken = {row.weights for row in evidence.runs.rows}
    return tuple({p.weights: p for p in reversed(found) if p.weights not in taken}.values())[::-1][:count]
