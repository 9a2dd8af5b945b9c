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
from tasks.training.interleave import Integers, PhaseTimes, interleaved, phase_times, standing_before
from tasks.training.permutation import permuted, round_keys
from tasks.training.types import Phase


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
        return self.drawn(*self._draws(start, stop))

    def drawn(self, domains_S: Integers, draws_S: Integers) -> Samples:
        """Return the samples that are number 0, 1, ... (`draws_S`) of their domains."""
        sizes_S = np.maximum(np.array(self.rows, dtype=np.int64), 1)[domains_S]
        epochs_S, positions_S = np.divmod(draws_S, sizes_S)
        keys_RS = self.keys("data order", domains_S, epochs_S)
        rows_S = self._usable(domains_S, permuted(positions_S, sizes_S, keys_RS))
        return Samples(domains_S, rows_S, epochs_S)

    def drawn_before(self, position: int) -> Integers:
        """Return how many samples of each domain come before sample `position`, shape [N]; the cost is that of no sample.

        Sample k of a domain is the same in every part of the run, so that these numbers say where each domain stands.
        """
        if not 0 <= position <= self.num_samples:
            raise IndexError(f"sample {position} of a run of {self.num_samples}")
        drawn_N, left = np.zeros(len(self.names), dtype=np.int64), position
        for counts, times in zip(self.counts, self.times, strict=True):
            here = min(left, sum(counts))
            drawn_N += standing_before(times, here) if here < sum(counts) else np.array(counts, dtype=np.int64)
            left -= here
        return drawn_N

    def _usable(self, domains_S: Integers, numbers_S: Integers) -> Integers:
        """Return which row is number 0, 1, ... of those that may be used."""
        if self.available is None:
            return numbers_S
        all_N = np.array(self.available, dtype=np.int64)
        shared = np.flatnonzero((np.array(self.rows) < all_N)[domains_S])
        rows_S, some = numbers_S.copy(), domains_S[shared]
        rows_S[shared] = permuted(numbers_S[shared], all_N[some], self.keys("usable rows", some))
        return rows_S

    def keys(self, purpose: str, domains_S: Integers, epochs_S: Integers | None = None) -> npt.NDArray[np.uint64]:
        """Return the keys of each sample's permutation, shape [rounds, S]: one for each domain, or domain and epoch."""
        one = np.zeros_like(domains_S) if epochs_S is None else epochs_S
        pairs, which_S = np.unique(one * len(self.names) + domains_S, return_inverse=True)
        names = [self.names[domain] for domain in (pairs % len(self.names)).tolist()]
        epochs = [() if epochs_S is None else (epoch,) for epoch in (pairs // len(self.names)).tolist()]
        keys = [round_keys(self.seed, purpose, name, *epoch) for name, epoch in zip(names, epochs, strict=True)]
        return np.stack(keys, axis=1)[:, which_S] if keys else np.empty((0, 0), dtype=np.uint64)

    def _draws(self, start: int, stop: int) -> tuple[Integers, Integers]:
        """Return the domain of each sample, and how many samples of that domain came before it."""
        domains, draws = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        first, before_N = 0, np.zeros(len(self.names), dtype=np.int64)
        for counts, times in zip(self.counts, self.times, strict=True):
            low, high = max(start - first, 0), min(stop - first, sum(counts))
            if low < high:
                domains_S, ordinals_S = interleaved(times, low, high)
                domains.append(domains_S)
                draws.append(before_N[domains_S] + ordinals_S)
            first, before_N = first + sum(counts), before_N + np.array(counts, dtype=np.int64)
        return np.concatenate(domains), np.concatenate(draws)

    @cached_property
    def times(self) -> tuple[PhaseTimes, ...]:
        """When the samples of each phase stand."""
        return tuple(self._times_of(phase) for phase in range(len(self.counts)))

    def _times_of(self, phase: int) -> PhaseTimes:
        offsets = [generator(self.seed, "data order", "phase", phase, name).random() for name in self.names]
        densities = None if self.densities is None else self.densities[phase]
        return phase_times(
            np.array(self.counts[phase], dtype=np.int64),
            np.array(offsets),
            None if densities is None else np.array(densities),
        )


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
