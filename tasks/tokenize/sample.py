"""Which text the tokenizer is trained on: the same number of bytes from every domain, chosen by hashed ids."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.rng import seed_of


def quotas(available: Sequence[int], total: int) -> list[int]:
    """Return the bytes each domain gives, `total` together: the same for all, but no more than a domain has.

    >>> quotas([10, 100, 100], 90)
    [10, 40, 40]
    """
    given, left = [0] * len(available), total
    for rank, domain in enumerate(sorted(range(len(available)), key=lambda domain: available[domain])):
        given[domain] = min(available[domain], left // (len(available) - rank))
        left -= given[domain]
    return given


def choose(
    ids: Sequence[str], bytes_N: npt.NDArray[np.int64], domain_N: npt.NDArray[np.int64], total: int, seed: int
) -> list[tuple[int, int]]:
    """Return (document, bytes of its beginning to take): by domain, the smallest hashed ids until the quota is full."""
    domains = int(domain_N.max(initial=-1)) + 1
    available = [int(bytes_N[domain_N == domain].sum()) for domain in range(domains)]
    chosen: list[tuple[int, int]] = []
    for domain, quota in enumerate(quotas(available, total)):
        left = quota
        members = np.flatnonzero(domain_N == domain).tolist()
        for number in sorted(members, key=lambda number: seed_of(seed, "train tokenizer", ids[number])):
            taken = min(left, int(bytes_N[number]))
            if taken > 0:
                chosen.append((number, taken))
            left -= taken
    return chosen
