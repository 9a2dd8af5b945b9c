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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.training.interleave import Floats, Integers, PhaseTimes, interleaved, phase_times, standing_before
from tasks.training.permutation import permuted, round_keys, unpermuted
from tasks.training.sample_counts import first_densities, phase_counts, usable_rows
from tasks.training.types import Phase

_COLUMNS = ("domains", "rows", "epochs")


@dataclass(frozen=True)
class Samples:
    """A run of samples: domain, row of the domain's tokens and epoch (from 0) of each, all of shape [S]."""

    domains: Integers
    rows: Integers
    epochs: Integers


@dataclass(frozen=True)
class Past:
    """What came before a run that goes on from another: the order of that one, and how many of its samples were taken."""

    order: "DataOrder"
    samples: int

    @cached_property
    def drawn(self) -> Integers:
        """How many samples of each domain came before, shape [N]."""
        return self.order.drawn_before(self.samples)


@dataclass(frozen=True)
class DataOrder:
    """The order of a whole run: `names` and `rows` (of one epoch) per domain, `counts` per phase and domain.

    `available` are the rows that each domain has, of which an epoch draws `rows`; None = all of them. `densities` are per
    phase what each domain's weight is at its start, over what it is on average (see `interleaved`); None = constant.
    `distinct` are the rows that an epoch's documents give where each is there once, which caps are about; None = `rows`.
    `scores` are per domain what the rows of an epoch are sorted by, ascending, [available]; None = they are shuffled.

    With a `past` the samples begin with those of another order, and every domain goes on where that one left it: the rows
    that are left of its epoch come before any comes again, whatever the seed of what follows.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    seed: int
    available: tuple[int, ...] | None = None
    densities: tuple[tuple[float, ...] | None, ...] | None = None
    past: Past | None = None
    distinct: tuple[int, ...] | None = None
    scores: tuple[Floats | None, ...] | None = field(default=None, compare=False)

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
        before_N = self._before_N.tolist()
        return tuple(sum(column) for column in zip(before_N, *self.counts, strict=True))

    @cached_property
    def num_samples(self) -> int:
        """Samples of the whole run."""
        return sum(self.totals)

    def samples(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop` (excluded); the cost depends on their number, not on where they are."""
        if not 0 <= start <= stop <= self.num_samples:
            raise IndexError(f"samples {start} to {stop} of a run of {self.num_samples}")
        before = 0 if self.past is None else self.past.samples
        if self.past is not None and start < before:
            past, own = self.past.order.samples(start, min(stop, before)), self.samples(before, max(stop, before))
            return Samples(*(np.concatenate([getattr(part, name) for part in (past, own)]) for name in _COLUMNS))
        return self.drawn(*self._draws(start - before, stop - before))

    def drawn(self, domains_S: Integers, draws_S: Integers) -> Samples:
        """Return the samples that are number 0, 1, ... (`draws_S`) of their domains."""
        epochs_S, positions_S = np.divmod(draws_S, self._sizes_N[domains_S])
        rows_S = self._usable(domains_S, self._numbers(domains_S, epochs_S, positions_S))
        for domain in [] if self.scores is None else np.unique(domains_S).tolist():
            for epoch in np.unique(epochs_S[domains_S == domain]).tolist():
                own = (domains_S == domain) & (epochs_S == epoch)
                rows_S[own] = self.ascending(domain, epoch)[positions_S[own]]
        return Samples(domains_S, rows_S, epochs_S)

    @cached_property
    def ascending(self) -> Callable[[int, int], Integers]:
        """Return the rows that the run draws in an epoch of a domain, by their score; given domain and epoch.

        Which rows these are is what it is without scores: an epoch that the run ends in draws the same part of them.
        """

        def rows(domain: int, epoch: int) -> Integers:
            size = self.rows[domain]
            positions = np.arange(max(0, min(size, self.totals[domain] - epoch * size)))
            domains, epochs = np.full_like(positions, domain), np.full_like(positions, epoch)
            drawn = self._usable(domains, self._numbers(domains, epochs, positions))
            scores = None if self.scores is None else self.scores[domain]
            return drawn if scores is None else drawn[np.argsort(scores[drawn], kind="stable")]

        return lru_cache(maxsize=64)(rows)

    def drawn_before(self, position: int) -> Integers:
        """Return how many samples of each domain come before sample `position`, shape [N]; the cost is that of no sample.

        Sample k of a domain is the same in every part of the run, so that these numbers say where each domain stands.
        """
        if not 0 <= position <= self.num_samples:
            raise IndexError(f"sample {position} of a run of {self.num_samples}")
        if self.past is not None and position < self.past.samples:
            return self.past.order.drawn_before(position)
        drawn_N, left = self._before_N.copy(), position - int(self._before_N.sum())
        for counts, times in zip(self.counts, self.times, strict=True):
            here = min(left, sum(counts))
            drawn_N += standing_before(times, here) if here < sum(counts) else np.array(counts, dtype=np.int64)
            left -= here
        return drawn_N

    @cached_property
    def _before_N(self) -> Integers:
        return np.zeros(len(self.names), dtype=np.int64) if self.past is None else self.past.drawn

    @cached_property
    def _sizes_N(self) -> Integers:
        return np.maximum(np.array(self.rows, dtype=np.int64), 1)

    def _numbers(self, domains_S: Integers, epochs_S: Integers, positions_S: Integers) -> Integers:
        """Return which of the domain's usable rows, from 0, comes at each position of an epoch."""
        keys_RS = self.keys("data order", domains_S, epochs_S)
        numbers_S = permuted(positions_S, self._sizes_N[domains_S], keys_RS)
        if self.past is not None:
            some, rest = self._begun(domains_S, epochs_S)
            positions = self._rest(domains_S, rest, positions_S, permuted)[some]
            numbers_S[some] = self.past.order._numbers(domains_S[some], epochs_S[some], positions)
        return numbers_S

    def positions(self, domains_S: Integers, epochs_S: Integers, numbers_S: Integers) -> Integers:
        """Return at which position of an epoch each of a domain's usable rows comes: the inverse of drawing."""
        keys_RS = self.keys("data order", domains_S, epochs_S)
        positions_S = unpermuted(numbers_S, self._sizes_N[domains_S], keys_RS)
        if self.past is not None:
            some, rest = self._begun(domains_S, epochs_S)
            positions_S[some] = self.past.order.positions(domains_S[some], epochs_S[some], numbers_S[some])
            positions_S = self._rest(domains_S, rest, positions_S, unpermuted)
        return positions_S

    def _begun(self, domains_S: Integers, epochs_S: Integers) -> tuple[Integers, Integers]:
        """Return which samples are of an epoch that the past had begun, and which of one that it had not ended."""
        begun_N, taken_N = np.divmod(self._before_N, self._sizes_N)
        last_S = (epochs_S == begun_N[domains_S]) & (taken_N[domains_S] > 0)
        return np.flatnonzero((epochs_S < begun_N[domains_S]) | last_S), np.flatnonzero(last_S)

    def _rest(
        self, domains_S: Integers, some: Integers, positions_S: Integers, moved: Callable[..., Integers]
    ) -> Integers:
        """Return positions with those behind the past `moved`: another seed draws the rest of an epoch in another order."""
        assert self.past is not None, "there is no rest without a past"
        found_S = positions_S.copy()
        if self.seed != self.past.order.seed:
            taken_N = self._before_N % self._sizes_N
            behind = some[positions_S[some] >= taken_N[domains_S[some]]]
            domains = domains_S[behind]
            taken, keys = taken_N[domains], self.keys("rest of an epoch", domains)
            found_S[behind] = taken + moved(positions_S[behind] - taken, self._sizes_N[domains] - taken, keys)
        return found_S

    def _usable(self, domains_S: Integers, numbers_S: Integers) -> Integers:
        """Return which row is number 0, 1, ... of those that may be used: the same ones as in the past."""
        if self.past is not None:
            return self.past.order._usable(domains_S, numbers_S)
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
        """Return the domain of each sample behind the past, and how many samples of that domain came before it."""
        domains, draws = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        first, before_N = 0, self._before_N
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

    def _phases_before(self, position: int | None) -> int:
        """Return how many phases begin before a sample (None = before the first own phase), those of the past with them."""
        before = 0 if self.past is None else self.past.order._phases_before(self.past.samples)
        if position is None:
            return before
        ends = int(self._before_N.sum()) + np.cumsum([0, *(sum(counts) for counts in self.counts)])
        return before + int((ends[:-1] < position).sum())

    def _times_of(self, phase: int) -> PhaseTimes:
        number = phase + self._phases_before(None)
        offsets = [generator(self.seed, "data order", "phase", number, name).random() for name in self.names]
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
    past: Past | None = None,
    distinct: Sequence[int] | None = None,
    scores: Sequence[Floats | None] | None = None,
) -> DataOrder:
    """Return the order in which the phases' samples come; `rows` = whole samples per domain in the train split.

    `row_share` is the share of each domain's rows that may be used; None = all. `past` is what came before. `distinct` and
    `scores` are those of `DataOrder`, of all rows.

    Raises:
        ConfigError: a phase has another number of weights than there are domains or ends within a sample, or a domain
            with a weight has no sample.
    """
    counts = tuple(phase_counts(phase, index, names, sequence_length) for index, phase in enumerate(phases))
    densities = tuple(first_densities(phase) for phase in phases)
    available = tuple(int(value) for value in rows)
    used = available if row_share is None else usable_rows(available, row_share)
    once = None if distinct is None else usable_rows(distinct, 1.0 if row_share is None else row_share)
    sorted_by = None if scores is None or all(each is None for each in scores) else tuple(scores)
    if past is not None and sorted_by is not None:
        raise ConfigError("data.curriculum sorts the rows of a whole run, and a branch has a past. Leave it out there.")
    return DataOrder(tuple(names), used, counts, seed, available, densities, past, once, sorted_by)


def starved(order: DataOrder, phases: Sequence[Phase]) -> tuple[str, ...]:
    """Return the domains that have a weight in some phase and not one sample there: too small a share to be met."""
    missed = [
        name
        for phase, counts in zip(phases, order.counts, strict=True)
        for name, weight, count in zip(order.names, phase.mean_weights, counts, strict=True)
        if weight > 0 and count == 0
    ]
    return tuple(dict.fromkeys(missed))


def check_caps(orders: Sequence[DataOrder], max_epochs: float, where: str) -> None:
    """Check that no domain is repeated more often than allowed; `orders` are those of each length of samples in a run.

    Raises:
        ConfigError: how many domains are, and for the first: what was asked, what is allowed, and what to do.
    """
    over = [domain for domain in range(len(orders[0].names)) if _is_over(orders, domain, max_epochs)]
    if over:
        name = orders[0].names[over[0]]
        asked = [(order.totals[over[0]], (order.distinct or order.rows)[over[0]]) for order in orders]
        epochs = sum(samples / max(rows, 1) for samples, rows in asked)
        told = " and ".join(f"{samples:,} samples asked of {rows:,} there are" for samples, rows in asked if samples)
        lower = "Lower its weight"
        if len(orders) == 1:
            lower += f" to at most {max_epochs * asked[0][1] / orders[0].num_samples:.4f}"
        raise ConfigError(
            f"{where}: {len(over)} of {len(orders[0].names)} domains would be repeated more than {max_epochs:g} times; "
            f"first: {name}, {told} = {epochs:.2f} epochs. {lower}, train on fewer tokens, or raise max_epochs."
        )


def _is_over(orders: Sequence[DataOrder], domain: int, max_epochs: float) -> bool:
    asked = [(order.totals[domain], (order.distinct or order.rows)[domain]) for order in orders]
    others = sum(samples / rows for samples, rows in asked[1:] if samples)
    return others > max_epochs or asked[0][0] > (max_epochs - others) * asked[0][1]
