"""What a run reads, and when: its data order over the rows of a token pool; any process reads any part of it.

Where the layout of samples changes on the way (their length, metadata, which documents and whether interleaved), each has
rows and an order of its own, in which its segments follow each other: an epoch of a domain is every row of one layout once,
and what is drawn of all counts together.

Axes: S samples, N domains, T tokens that a sample trains on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool, Tokens
from tasks.training.data_config import DataConfig
from tasks.training.interleave import Floats, Integers
from tasks.training.order import DataOrder, Past, Samples, check_caps, data_order
from tasks.training.planted.overlay import Plants, read_plants
from tasks.training.rows import DomainRows, rows_of
from tasks.training.segments import Layout, Segment, Segments, samples_before
from tasks.training.transforms.kinds import rearranges, require_fits, transformed
from tasks.training.transforms.row import NO_TARGET
from tasks.training.types import Phase, RunSpec

# Samples that are drawn in one call: drawing few costs nearly as much as drawing many.
_WINDOW = 1024


@dataclass(frozen=True)
class Batch:
    """Samples of a run from number `start` on: where they come from, and their tokens before any transform, [S, T + 1].

    `pairs` [S, 2, T] are the tokens that the model is given, and what it is to predict behind each, -1 = nothing.
    `weights` [S, T] is what each of these counts in the loss; None = 1.
    Of each sample, shape [S]: `num_targets` are the tokens it trains on, `bytes` the UTF-8 bytes that these stand for,
    `checksums` CRC-32 of its tokens as they lie on the disk, and of what is planted there.
    """

    start: int
    samples: Samples
    tokens: Tokens
    pairs: Integers
    num_targets: Integers
    bytes: Integers
    checksums: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class OrderedRows:
    """The rows of a pool's domains in one layout, their order in a run, and what is made of them (None = nothing).

    `plants` is what is written over some samples of the run; None = nothing.
    """

    order: DataOrder
    pool: TokenPool
    rows: tuple[DomainRows, ...]
    config: DataConfig | None = None
    seed: int = 0
    plants: Plants | None = None

    @property
    def layout(self) -> Layout:
        """How the tokens of the pool became these rows."""
        return self.rows[0].layout

    def read(self, start: int, stop: int, number: int) -> Batch:
        """Return samples `start` to `stop` (excluded) of this order, which are those from `number` on of the run.

        The cost depends on how many they are, not on where they are.
        """
        samples = self._samples(start, stop)
        pairs = zip(samples.domains.tolist(), samples.rows.tolist(), strict=True)
        tokens = np.stack([self.rows[domain].row(row) for domain, row in pairs])
        if self.plants is not None:
            self.plants.write(tokens, number)
        checksums = np.array([crc32(row_U) for row_U in tokens], dtype=np.uint64)
        pairs_SXT = self._pairs(number, tokens.astype(np.int64))
        if self.layout.metadata:
            for place, (domain, row) in enumerate(zip(samples.domains.tolist(), samples.rows.tolist(), strict=True)):
                pairs_SXT[place, 1][self.rows[domain].metadata(row)] = NO_TARGET
        counted = pairs_SXT[:, 1] != NO_TARGET
        sizes = self.pool.token_bytes[pairs_SXT[:, 1]].sum(axis=1, dtype=np.int64, where=counted)
        weights_ST = self._weights(samples)
        return Batch(number, samples, tokens, pairs_SXT, counted.sum(axis=1), sizes, checksums, weights_ST)

    def _weights(self, samples: Samples) -> npt.NDArray[np.float32] | None:
        if self.config is None or self.config.loss_weights is None:
            return None
        pairs = zip(samples.domains.tolist(), samples.rows.tolist(), strict=True)
        return np.stack([self.rows[domain].weights(row) for domain, row in pairs])

    def domains(self, start: int, stop: int) -> Integers:
        """Return the domains of samples `start` to `stop` (excluded) of this order, by their places in the pool."""
        return self._samples(start, stop).domains

    def _pairs(self, first: int, tokens_SU: Integers) -> Integers:
        """Return what the model is given and what it is to predict, [S, 2, T]."""
        config, end = self.config, self.pool.document_end
        pairs_SXT = np.stack([tokens_SU[:, :-1], tokens_SU[:, 1:]], axis=1)
        if config is None:
            return pairs_SXT
        if config.transform is not None:
            for number, row_U in enumerate(tokens_SU):
                made = transformed(config.transform, row_U, first + number, self.seed, self.pool.specials, end)
                pairs_SXT[number] = made.inputs, made.targets
        if config.packing is not None:
            # An end behind an end pads the row.
            pairs_SXT[:, 1][(pairs_SXT == end).all(axis=1)] = NO_TARGET
        return pairs_SXT

    def _samples(self, start: int, stop: int) -> Samples:
        if not 0 <= start < stop <= self.order.num_samples:
            raise IndexError(f"samples {start} to {stop} of a run of {self.order.num_samples}")
        first, last = start // _WINDOW, (stop - 1) // _WINDOW
        windows = [self._window(number) for number in range(first, last + 1)]
        here = slice(start - first * _WINDOW, stop - first * _WINDOW)
        domains, rows, epochs = (
            np.concatenate([getattr(window, name) for window in windows])[here]
            for name in ("domains", "rows", "epochs")
        )
        return Samples(domains, rows, epochs)

    @cached_property
    def _window(self) -> Callable[[int], Samples]:
        def window(number: int) -> Samples:
            return self.order.samples(number * _WINDOW, min((number + 1) * _WINDOW, self.order.num_samples))

        return lru_cache(maxsize=8)(window)


@dataclass(frozen=True)
class Piece:
    """Samples of one layout that follow each other in a run, between `before_N` and `after_N` samples of each domain."""

    rows: OrderedRows
    before_N: Integers
    after_N: Integers

    def documents(self, domain: int) -> tuple[int, int]:
        """Return the first document of a domain's first sample here, and the last one of its last."""
        draws = np.array([self.before_N[domain], self.after_N[domain] - 1])
        ends = self.rows.order.drawn(np.array([domain] * 2), draws).rows
        first, last = self.rows.rows[domain].documents(ends)
        return int(first[0]), int(last[1])


@dataclass(frozen=True)
class RunData:
    """What a run reads: the rows of each layout with their order, and the segments of the run, each of one layout."""

    parts: tuple[OrderedRows, ...]
    segments: Segments

    @property
    def pool(self) -> TokenPool:
        """The pool whose tokens are read."""
        return self.parts[0].pool

    @property
    def plants(self) -> Plants | None:
        """What is written over some samples of the run."""
        return self.parts[0].plants

    @property
    def num_samples(self) -> int:
        """Samples of the whole run."""
        return self.segments[-1].stop_sample

    def read(self, start: int, stop: int) -> Batch:
        """Return samples `start` to `stop` (excluded), all of one segment."""
        part, moved = self._place(start, stop)
        return part.read(start + moved, stop + moved, start)

    def domains(self, start: int, stop: int) -> Integers:
        """Return the domains of samples `start` to `stop` (excluded), all of one segment, by their places in the pool."""
        part, moved = self._place(start, stop)
        return part.domains(start + moved, stop + moved)

    def domain(self, sample: int) -> int:
        """Return the domain of a sample, by its place in the pool."""
        return int(self.domains(sample, sample + 1)[0])

    def _place(self, start: int, stop: int) -> tuple[OrderedRows, int]:
        """Return the rows that samples are of, and how much later they stand in their order than in the run."""
        for own, first in self._places:
            if own.first_sample <= start < stop <= own.stop_sample:
                return self.of(own.layout), first - own.first_sample
        ends = [own.stop_sample for own in self.segments]
        raise IndexError(
            f"samples {start} to {stop} of a run of {self.num_samples}; a batch is of one segment, and these end at {ends}"
        )

    def of(self, layout: Layout) -> OrderedRows:
        """Return the rows of a layout."""
        return next(one for one in self.parts if one.layout == layout)

    def drawn_before(self, sample: int) -> tuple[Integers, ...]:
        """Return of each layout how many samples of each domain come before a sample of the run, shapes [N]."""
        return tuple(one.order.drawn_before(self._position(one, sample)) for one in self.parts)

    def epochs_before(self, sample: int) -> Floats:
        """Return how often the rows of each domain were drawn before a sample of the run, [N]: the sum over all layouts."""
        pairs = zip(self.drawn_before(sample), self.parts, strict=True)
        epochs_N: Floats = np.sum([drawn_N / np.maximum(part.order.rows, 1) for drawn_N, part in pairs], axis=0)
        return epochs_N

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the samples from `start` to `stop` (excluded), segment by segment."""
        for own, first in self._places:
            low, high = max(start, own.first_sample), min(stop, own.stop_sample)
            if low < high:
                part, moved = self.of(own.layout), first - own.first_sample
                yield Piece(part, part.order.drawn_before(low + moved), part.order.drawn_before(high + moved))

    def number(self, part: OrderedRows, position: int) -> int:
        """Return which sample of the run is at a position of a layout's order."""
        places = [(own, first) for own, first in self._places if self.of(own.layout) is part and first <= position]
        own, first = places[-1]
        return own.first_sample + position - first

    def _position(self, part: OrderedRows, sample: int) -> int:
        own = [one for one in self.segments if self.of(one.layout) is part]
        return sum(max(min(sample, one.stop_sample) - one.first_sample, 0) for one in own)

    @cached_property
    def _places(self) -> list[tuple[Segment, int]]:
        """Each segment, and where it begins in the order of its layout."""
        return [(own, self._position(self.of(own.layout), own.first_sample)) for own in self.segments]


def run_data(spec: RunSpec, pool: TokenPool, rows: Callable[[Layout], tuple[DomainRows, ...]] | None = None) -> RunData:
    """Return what a run reads, checked; `rows` gives those of a layout where somebody has them already.

    Raises:
        ConfigError: weights for another number of domains, a domain without samples, or one repeated too often.
    """
    pasts = {} if spec.trunk is None else _pasts(run_data(spec.trunk.spec, pool, rows), spec.trunk.step)
    parts, planted = [], None if spec.planted is None else read_plants(spec.planted, pool.document_end)
    for layout in dict.fromkeys(one.layout for one in spec.segments):
        _require_transform(spec, pool, layout)
        found = rows_of(pool, layout, spec.training.data) if rows is None else rows(layout)
        order = order_over(found, phases_of(spec, layout), pool.names, spec.seed, spec.row_share, pasts.get(layout))
        parts.append(OrderedRows(order, pool, found, spec.training.data, spec.seed, planted))
    if spec.max_epochs is not None:
        check_caps([one.order for one in parts], spec.max_epochs, spec.name)
    return RunData(tuple(parts), spec.segments)


def _require_transform(spec: RunSpec, pool: TokenPool, layout: Layout) -> None:
    """Check that the run's transform can be made of rows of a layout."""
    transform = None if spec.training.data is None else spec.training.data.transform
    if transform is None:
        return
    if rearranges(transform) and (layout.metadata or spec.planted is not None):
        raise ConfigError(
            f"{spec.name}: data.transform {transform.kind} moves the tokens of a row, and metadata of a stage and planted "
            "texts are known by their places. Leave one of them out."
        )
    require_fits(transform, pool.specials, layout.length)


def phases_of(spec: RunSpec, layout: Layout) -> tuple[Phase, ...]:
    """Return the phases of a run whose samples have a layout."""
    return tuple(one for one in spec.phases if one.layout(spec.training.model) == layout)


def _pasts(trunk: RunData, step: int) -> dict[Layout, Past]:
    """Return what a trunk drew of each layout up to a step."""
    sample = samples_before(trunk.segments, step)
    return {one.layout: Past(one.order, trunk._position(one, sample)) for one in trunk.parts}


def order_over(
    rows: Sequence[DomainRows],
    phases: Sequence[Phase],
    names: Sequence[str],
    seed: int,
    row_share: float | None = None,
    past: Past | None = None,
) -> DataOrder:
    """Return the data order of a run over some rows; see `data_order`."""
    counts, distinct, scores = zip(*((each.count, each.distinct, each.scores) for each in rows), strict=True)
    return data_order(phases, names, counts, rows[0].length, seed, row_share, past, distinct, scores)
