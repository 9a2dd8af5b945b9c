"""The data order: which sample comes when, a pure function of (phases, seed, sample index).

No state to save: a resume is a seek, the same for any number of workers. A phase has a whole number of samples per
domain (largest remainder), spread evenly over the phase, or as densely as a mixture that changes linearly says; the
k-th sample of a domain is a row of that domain's tokens, drawn without repetition within an epoch. The rows of a domain
depend on the seed and its name alone, not on the weights, so that two mixtures with the same seed see each domain in
the same order (common random numbers).

A proxy may be held to a share of each domain's rows, so that it repeats them as often as its target will
(arXiv 2606.07597): the first rows of a permutation keyed by seed and name, the same for every mixture.

Axes: S samples, N domains, P phases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.training.types import Phase

Integers = npt.NDArray[np.int64]
_ROUNDS = 6  # a guess: four give a strong permutation for strong round functions (Luby and Rackoff), ours is weaker


@dataclass(frozen=True)
class Samples:
    """A run of samples: domain, row of the domain's tokens and epoch (from 0) of each, all of shape [S]."""

    domains: Integers
    rows: Integers
    epochs: Integers


@dataclass(frozen=True)
class DataOrder:
    """The order of a whole run: `names` and `rows` (of one epoch) per domain, `counts` per phase and domain.

    `available` are the rows that each domain has, of which an epoch draws `rows`; None = all of them. `densities` are per
    phase what each domain's weight is at its start, over what it is on average (see `interleaved`); None = constant.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    seed: int
    available: tuple[int, ...] | None = None
    densities: tuple[tuple[float, ...] | None, ...] | None = None

    def __post_init__(self) -> None:
        if not all(used <= there for used, there in zip(self.rows, self.all_rows, strict=True)):
            raise ValueError(f"an epoch has {self.rows} rows of the {self.all_rows} there are")
        empty = [
            name for name, rows, asked in zip(self.names, self.rows, self.totals, strict=True) if asked and not rows
        ]
        if empty:
            raise ConfigError(
                f"{len(empty)} of {len(self.names)} domains have a weight but not one whole sample in the train split; "
                f"first: {empty[0]}. Give it weight 0, lower sequence_length, or merge it with another domain."
            )

    @property
    def all_rows(self) -> tuple[int, ...]:
        """The rows that each domain has, drawn or not."""
        return self.rows if self.available is None else self.available

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """Samples of each domain in the whole run."""
        return tuple(sum(column) for column in zip(*self.counts, strict=True))

    @cached_property
    def num_samples(self) -> int:
        """Samples of the whole run."""
        return sum(self.totals)

    def samples(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop` (excluded); the cost depends on their number, not on where they are."""
        if not 0 <= start <= stop <= self.num_samples:
            raise IndexError(f"samples {start} to {stop} of a run of {self.num_samples}")
        domains_S, draws_S = self._draws(start, stop)
        rows_N = np.array(self.rows, dtype=np.int64)
        epochs_S, positions_S = np.divmod(draws_S, np.maximum(rows_N, 1)[domains_S])
        rows_S = np.empty_like(positions_S)
        for domain, epoch in sorted({*zip(domains_S.tolist(), epochs_S.tolist(), strict=True)}):
            chosen = (domains_S == domain) & (epochs_S == epoch)
            keys = _round_keys(self.seed, self.names[domain], epoch)
            rows_S[chosen] = self._usable(domain, permuted(positions_S[chosen], self.rows[domain], keys))
        return Samples(domains_S, rows_S, epochs_S)

    def _usable(self, domain: int, numbers_S: Integers) -> Integers:
        """Return which row is number 0, 1, ... of those that may be used."""
        if self.rows[domain] == self.all_rows[domain]:
            return numbers_S
        keys = generator(self.seed, "usable rows", self.names[domain]).integers(0, 1 << 63, _ROUNDS, dtype=np.uint64)
        return permuted(numbers_S, self.all_rows[domain], keys)

    def _draws(self, start: int, stop: int) -> tuple[Integers, Integers]:
        """Return the domain of each sample, and how many samples of that domain came before it."""
        domains, draws = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        first, before_N = 0, np.zeros(len(self.names), dtype=np.int64)
        for phase, counts in enumerate(self.counts):
            counts_N = np.array(counts, dtype=np.int64)
            low, high = max(start - first, 0), min(stop - first, int(counts_N.sum()))
            if low < high:
                domains_S, ordinals_S = interleaved(counts_N, self._offsets(phase), low, high, self._densities(phase))
                domains.append(domains_S)
                draws.append(before_N[domains_S] + ordinals_S)
            first, before_N = first + int(counts_N.sum()), before_N + counts_N
        return np.concatenate(domains), np.concatenate(draws)

    def _densities(self, phase: int) -> npt.NDArray[np.float64] | None:
        densities = None if self.densities is None else self.densities[phase]
        return None if densities is None else np.array(densities)

    def _offsets(self, phase: int) -> npt.NDArray[np.float64]:
        return np.array([generator(self.seed, "data order", "phase", phase, name).random() for name in self.names])


def data_order(
    phases: Sequence[Phase],
    names: Sequence[str],
    rows: Sequence[int],
    sequence_length: int,
    seed: int,
    row_share: float | None = None,
) -> DataOrder:
    """Return the order in which the phases' samples come; `rows` = whole samples per domain in the train split.

    `row_share` is the share of each domain's rows that may be used; None = all.

    Raises:
        ConfigError: a phase has another number of weights than there are domains or ends within a sample, or a domain
            with a weight has no sample.
    """
    counts = tuple(phase_counts(phase, index, names, sequence_length) for index, phase in enumerate(phases))
    densities = tuple(first_densities(phase) for phase in phases)
    available = tuple(int(value) for value in rows)
    used = available if row_share is None else usable_rows(available, row_share)
    return DataOrder(tuple(names), used, counts, seed, available, densities)


def usable_rows(rows: Sequence[int], share: float) -> tuple[int, ...]:
    """Return how many of a domain's rows may be used: their share, rounded, at least one where there is one.

    A proxy with the share (its tokens / its target's tokens) repeats every domain as often as the target will.

    >>> usable_rows([1000, 30, 0], 1 / 64)
    (16, 1, 0)
    """
    return tuple(max(min(count, 1), min(count, round(count * share))) for count in rows)


def phase_counts(phase: Phase, index: int, names: Sequence[str], sequence_length: int) -> tuple[int, ...]:
    """Return the samples per domain of a phase."""
    if len(phase.weights) != len(names):
        raise ConfigError(
            f"phase {index}: {len(phase.weights)} weights for {len(names)} domains. The recipe was made for another "
            "pool; run search again."
        )
    samples, rest = divmod(phase.num_tokens, sequence_length)
    if rest:
        raise ConfigError(
            f"phase {index}: {phase.num_tokens:,} tokens end within a sample of {sequence_length}; the nearest values "
            f"are {samples * sequence_length:,} and {(samples + 1) * sequence_length:,}."
        )
    return largest_remainder(phase.mean_weights, samples)


def first_densities(phase: Phase) -> tuple[float, ...] | None:
    """Return each domain's weight at the start of a phase over its mean weight there; None where all are constant.

    >>> first_densities(Phase(80, (1.0, 0.0), (0.5, 0.5)))
    (1.3333333333333333, 0.0)
    """
    if phase.end_weights is None:
        return None
    pairs = zip(phase.weights, phase.mean_weights, strict=True)
    return tuple(first / mean if mean else 1.0 for first, mean in pairs)


def largest_remainder(weights: Sequence[float], total: int) -> tuple[int, ...]:
    """Return whole numbers that sum to `total`, each its exact share rounded down or up (Hamilton's method).

    >>> largest_remainder([0.5, 0.3, 0.2], 7)
    (4, 2, 1)
    """
    shares = np.array(weights, dtype=np.float64) / sum(weights) * total
    # A share that is whole up to rounding stays whole, so that a weight at its cap is not lifted over it.
    counts = np.floor(shares + 1e-9).astype(np.int64)
    ranks = np.argsort(-(shares - counts), kind="stable")
    counts[ranks[: total - int(counts.sum())]] += 1
    return tuple(counts.tolist())


def interleaved(
    counts_N: Integers,
    offsets_N: npt.NDArray[np.float64],
    start: int,
    stop: int,
    densities_N: npt.NDArray[np.float64] | None = None,
) -> tuple[Integers, Integers]:
    """Return domain and ordinal within the domain of positions `start` to `stop` of an even interleaving.

    The k-th sample of a domain with n samples stands at time (k + u) / n, 0 <= u < 1, and samples are sorted by time:
    for u = 1/2 this is the apportionment of Sainte-Lague, whose seats do not move when the house grows.

    Where a domain's density goes linearly from a to 2 - a (`densities_N` is a, 1 = constant), a t + (1 - a) t^2 of its
    samples stand before time t, and its k-th stands where that is (k + u) / n. The densities of a mixture sum to 1 at
    every time, so that time goes as fast as positions do.
    """
    used = np.flatnonzero(counts_N)
    densities = np.ones(len(used)) if densities_N is None else densities_N[used]
    times = _Times(counts_N[used], offsets_N[used], densities)
    low, high = _time_before(times, start), _time_before(times, stop, at_least=True)
    first, last = times.until(low), times.until(high)
    which = np.repeat(np.arange(len(used)), last - first)
    ordinals = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    sorted_ = np.lexsort((which, times.of(which, ordinals)))
    chosen = sorted_[start - int(first.sum()) : stop - int(first.sum())]
    return used[which[chosen]], ordinals[chosen]


@dataclass(frozen=True)
class _Times:
    """When the samples of each domain stand in a phase, from 0 to 1: see `interleaved`. All of shape [N]."""

    counts: Integers
    offsets: npt.NDArray[np.float64]
    densities: npt.NDArray[np.float64]

    def of(self, which: Integers, ordinals: Integers) -> npt.NDArray[np.float64]:
        """Return the time of some samples of some domains; where the density is constant, (k + u) / n to the bit."""
        shares, first = (ordinals + self.offsets[which]) / self.counts[which], self.densities[which]
        divisor = first + np.sqrt(np.maximum(first * first + 4 * (1 - first) * shares, 0))
        return np.divide(2 * shares, divisor, out=np.zeros_like(shares), where=divisor > 0)

    def until(self, time: float) -> Integers:
        """Return how many samples of each domain stand before a time; comparing puts the rounding right."""
        every = np.arange(len(self.counts))
        shares = self.densities * time + (1 - self.densities) * time * time
        guess = np.clip(np.ceil(shares * self.counts - self.offsets), 0, self.counts).astype(np.int64)
        guess -= (guess > 0) & (self.of(every, np.maximum(guess - 1, 0)) >= time)
        guess += (guess < self.counts) & (self.of(every, np.minimum(guess, self.counts - 1)) < time)
        return guess if time < 1.0 else self.counts


def _time_before(times: _Times, position: int, at_least: bool = False) -> float:
    """Return the latest time before which at most `position` samples stand (or the earliest with at least as many)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        standing = int(times.until(middle).sum())
        if standing < position or (standing == position and not at_least):
            low = middle
        else:
            high = middle
    return high if at_least else low


def permuted(positions_S: Integers, size: int, keys: npt.NDArray[np.uint64]) -> Integers:
    """Return where a keyed permutation of 0..size-1 sends each position: a Feistel network, walked until inside."""
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    walked = _feistel(positions_S.astype(np.uint64), half, keys)
    while (outside := walked >= size).any():
        walked[outside] = _feistel(walked[outside], half, keys)
    return walked.astype(np.int64)


def _feistel(values: npt.NDArray[np.uint64], half: np.uint64, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << half) | right


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return SplitMix64's finaliser of each value (Steele, Lea and Flood 2014); products wrap around."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _round_keys(seed: int, name: str, epoch: int) -> npt.NDArray[np.uint64]:
    return generator(seed, "data order", name, epoch).integers(0, 1 << 63, size=_ROUNDS, dtype=np.uint64)


def starved(order: DataOrder, phases: Sequence[Phase]) -> tuple[str, ...]:
    """Return the domains that have a weight in some phase and not one sample there: too small a share to be met."""
    missed = [
        name
        for phase, counts in zip(phases, order.counts, strict=True)
        for name, weight, count in zip(order.names, phase.mean_weights, counts, strict=True)
        if weight > 0 and count == 0
    ]
    return tuple(dict.fromkeys(missed))


def check_caps(order: DataOrder, max_epochs: float, where: str) -> None:
    """Check that no domain is repeated more often than allowed.

    Raises:
        ConfigError: how many domains are, and for the first: what was asked, what is allowed, and what to do.
    """
    over = [
        (name, asked / rows, asked, rows)
        for name, rows, asked in zip(order.names, order.rows, order.totals, strict=True)
        if asked > max_epochs * rows
    ]
    if over:
        name, epochs, asked, rows = over[0]
        raise ConfigError(
            f"{where}: {len(over)} of {len(order.names)} domains would be repeated more than {max_epochs:g} times; "
            f"first: {name}, {asked:,} samples asked of {rows:,} there are = {epochs:.2f} epochs. Lower its weight to "
            f"at most {max_epochs * rows / order.num_samples:.4f}, train on fewer tokens, or raise max_epochs."
        )


def weight_caps(rows: Sequence[int], num_samples: int, max_epochs: float) -> npt.NDArray[np.float64]:
    """Return the largest weight per domain, shape [N], that `check_caps` accepts in a run of one phase.

    >>> weight_caps([10, 100], 80, 4.0).tolist()
    [0.5, 1.0]
    """
    return np.minimum(np.floor(max_epochs * np.array(rows, dtype=np.float64)) / num_samples, 1.0)
