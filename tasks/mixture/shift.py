"""How far one mixture is from another."""

from collections.abc import Sequence
from math import inf, log


def divergence(new: Sequence[float], old: Sequence[float]) -> float:
    """Return the Kullback-Leibler divergence of a mixture from the one before, in nats: sum of new log(new / old).

    It is infinite where the one before has none of a domain.

    >>> divergence([0.5, 0.5], [0.5, 0.5]), divergence([1.0, 0.0], [0.5, 0.5]), divergence([0.5, 0.5], [1.0, 0.0])
    (0.0, 0.6931471805599453, inf)
    """
    pairs = [(one, before) for one, before in zip(new, old, strict=True) if one > 0]
    return sum(one * log(one / before) if before > 0 else inf for one, before in pairs)
