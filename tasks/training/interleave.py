"""An even interleaving of domains: which stands at position k, and what stands before it, by arithmetic.

The k-th sample of a domain with n samples stands at time (k + u) / n, 0 <= u < 1, and samples are sorted by time: for
u = 1/2 this is the apportionment of Sainte-Lague, whose seats do not move when the house grows.

Where a domain's density goes linearly from a to 2 - a (1 = constant), a t + (1 - a) t^2 of its samples stand before time
t, and its k-th stands where that is (k + u) / n. The densities of a mixture sum to 1 at every time, so that time goes as
fast as positions do.

Axes: N domains, U of them with samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PhaseTimes:
    """When the samples of a phase stand, from 0 to 1: domains that have some [U] and their counts, offsets, densities."""

    num_domains: int
    domains: Integers
    counts: Integers
    offsets: Floats
    densities: Floats

    def of(self, which: Integers, ordinals: Integers) -> Floats:
        """Return the time of some samples of some domains; where the density is constant, (k + u) / n to the bit."""
        shares, first = (ordinals + self.offsets[which]) / self.counts[which], self.densities[which]
        divisor = first + np.sqrt(np.maximum(first * first + 4 * (1 - first) * shares, 0))
        return np.divide(2 * shares, divisor, out=np.zeros_like(shares), where=divisor > 0)

    def until(self, time: float) -> Integers:
        """Return how many samples of each domain stand before a time, [U]; comparing puts the rounding right."""
        every = np.arange(len(self.counts))
        shares = self.densities * time + (1 - self.densities) * time * time
        guess = np.clip(np.ceil(shares * self.counts - self.offsets), 0, self.counts).astype(np.int64)
        guess -= (guess > 0) & (self.of(every, np.maximum(guess - 1, 0)) >= time)
        guess += (guess < self.counts) & (self.of(every, np.minimum(guess, self.counts - 1)) < time)
        return guess if time < 1.0 else self.counts


def phase_times(counts_N: Integers, offsets_N: Floats, densities_N: Floats | None = None) -> PhaseTimes:
    """Return the times of a phase's samples; no `densities_N` = every domain's is constant."""
    used = np.flatnonzero(counts_N)
    densities = np.ones(len(used)) if densities_N is None else densities_N[used]
    return PhaseTimes(len(counts_N), used, counts_N[used], offsets_N[used], densities)


def interleaved(times: PhaseTimes, start: int, stop: int) -> tuple[Integers, Integers]:
    """Return domain and ordinal within the domain of positions `start` to `stop` of the interleaving."""
    first = times.until(_time_before(times, start))
    last = times.until(_time_before(times, stop, at_least=True))
    which = np.repeat(np.arange(len(times.domains)), last - first)
    begins = np.cumsum(last - first) - (last - first)
    ordinals = np.arange(which.size) + (first - begins)[which]
    sorted_ = np.lexsort((which, times.of(which, ordinals)))
    chosen = sorted_[start - int(first.sum()) : stop - int(first.sum())]
    return times.domains[which[chosen]], ordinals[chosen]


def standing_before(times: PhaseTimes, position: int) -> Integers:
    """Return how many samples of each domain stand before a position, [N]; none of them is looked at.

    >>> standing_before(phase_times(np.array([3, 1]), np.array([0.5, 0.5])), 2).tolist()
    [1, 1]
    """
    before = times.until(_time_before(times, position))
    standing_N = np.zeros(times.num_domains, dtype=np.int64)
    standing_N[times.domains] = before
    # Those of one time stand in the order of their domains, so that some may be before the position and some behind it.
    if (reached := int(before.sum())) < position:
        domains, _ = interleaved(times, reached, position)
        standing_N += np.bincount(domains, minlength=times.num_domains)
    return standing_N


def position_of(times: PhaseTimes, domain: int, ordinal: int) -> int:
    """Return where a domain's sample stands: what `interleaved` gives at that position."""
    which = int(np.searchsorted(times.domains, domain))
    time = float(times.of(np.array([which]), np.array([ordinal]))[0])
    earlier, at_most = times.until(time), times.until(float(np.nextafter(time, np.inf)))
    # Those of one time stand in the order of their domains.
    return int(earlier.sum() + (at_most - earlier)[:which].sum())


def _time_before(times: PhaseTimes, position: int, at_least: bool = False) -> float:
    """Return a time before which `position` samples stand; where none is, the next one with fewer (or with more)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        standing = int(times.until(middle).sum())
        if standing == position:
            return middle
        low, high = (middle, high) if standing < position else (low, middle)
    return high if at_least else low
