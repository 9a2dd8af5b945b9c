"""What a run reads, and when: its data order over the rows of a token pool; any process reads any part of it.

Axes: S samples, N domains, T tokens that a sample trains on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tasks.tokenize.pool import TokenPool, Tokens
from tasks.training.config import DataConfig, TrainingConfig
from tasks.training.interleave import Integers
from tasks.training.order import DataOrder, Past, Samples, check_caps, data_order
from tasks.training.rows import DomainRows, rows_of
from tasks.training.transforms.kinds import transformed
from tasks.training.transforms.row import NO_TARGET
from tasks.training.types import Phase, RunSpec

# Samples that are drawn in one call: drawing few costs nearly as much as drawing many.
_WINDOW = 1024


@dataclass(frozen=True)
class Batch:
    """Samples of a run from number `start` on: where they come from, and their tokens as they lie, shape [S, T + 1].

    `pairs` [S, 2, T] are the tokens that the model is given, and what it is to predict behind each, -1 = nothing.
    Of each sample, shape [S]: `num_targets` are the tokens it trains on, `bytes` the UTF-8 bytes that these stand for,
    `checksums` CRC-32 of its tokens as they lie on the disk.
    """

    start: int
    samples: Samples
    tokens: Tokens
    pairs: Integers
    num_targets: Integers
    bytes: Integers
    checksums: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class RunData:
    """The order of a run, the rows of a pool's domains that it draws, and what is made of these (None = nothing)."""

    order: DataOrder
    pool: TokenPool
    rows: tuple[DomainRows, ...]
    config: DataConfig | None = None
    seed: int = 0

    def read(self, start: int, stop: int) -> Batch:
        """Return samples `start` to `stop` (excluded); the cost depends on their number, not on where they are."""
        samples = self._samples(start, stop)
        pairs = zip(samples.domains.tolist(), samples.rows.tolist(), strict=True)
        tokens = np.stack([self.rows[domain].row(row) for domain, row in pairs])
        checksums = np.array([crc32(row_U) for row_U in tokens], dtype=np.uint64)
        pairs_SXT = self._pairs(start, tokens.astype(np.int64))
        counted = pairs_SXT[:, 1] != NO_TARGET
        sizes = self.pool.token_bytes[pairs_SXT[:, 1]].sum(axis=1, dtype=np.int64, where=counted)
        return Batch(start, samples, tokens, pairs_SXT, counted.sum(axis=1), sizes, checksums)

    def domains(self, start: int, stop: int) -> Integers:
        """Return the domains of samples `start` to `stop` (excluded), by their places in the pool."""
        return self._samples(start, stop).domains

    def _pairs(self, start: int, tokens_SU: Integers) -> Integers:
        """Return what the model is given and what it is to predict, [S, 2, T]."""
        config, end = self.config, self.pool.document_end
        pairs_SXT = np.stack([tokens_SU[:, :-1], tokens_SU[:, 1:]], axis=1)
        if config is None:
            return pairs_SXT
        if config.transform is not None:
            for number, row_U in enumerate(tokens_SU):
                made = transformed(config.transform, row_U, start + number, self.seed)
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


def run_data(spec: RunSpec, pool: TokenPool) -> RunData:
    """Return what a run reads, checked.

    Raises:
        ConfigError: weights for another number of domains, a domain without samples, or one repeated too often.
    """
    training, past = spec.training, None
    rows = rows_of(pool, training.model.sequence_length, training.data)
    if spec.trunk is not None:
        past = Past(run_data(spec.trunk.spec, pool).order, spec.trunk.step * training.sequences_per_step)
    order = order_over(rows, spec.phases, pool.names, spec.seed, spec.row_share, past)
    if spec.max_epochs is not None:
        check_caps(order, spec.max_epochs, spec.name)
    return RunData(order, pool, rows, training.data, spec.seed)


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


def step_ranges(training: TrainingConfig, first_step: int, parts: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield first and last sample (excluded) of every step from `first_step` on, for a process of a run.

    `parts` are the first micro-batch of a step that it makes, and how many.
    """
    size = training.sequences_per_step // training.micro_batches
    for step in range(first_step, training.num_steps):
        start = step * training.sequences_per_step + parts[0] * size
        yield start, start + parts[1] * size
