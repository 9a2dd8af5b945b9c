"""The ledger of a run: what was consumed, per block of steps and domain. It can be rebuilt from the recipe alone.

While a run goes on, each batch that a step takes is added to a log of whole numbers that can be summed over processes in
any order. The data order says by arithmetic what the log must hold, however long the run is.

Axes: B blocks of steps, N domains, S samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil

import numpy as np
import numpy.typing as npt

from tasks.core.errors import AccountError
from tasks.training.data import Batch, RunData
from tasks.training.interleave import Integers
from tasks.training.permutation import mixed
from tasks.training.published_run import LedgerRow
from tasks.training.segments import Segments, samples_before, shares_of_steps, steps_of_samples

BLOCK_STEPS = 10
# A ledger has at most so many blocks, so that it is as long for a long run as for a short one.
MAX_BLOCKS = 200
# Samples that are counted at once: counting few costs nearly as much as counting many.
_MANY = 1024


def block_steps(num_steps: int) -> int:
    """Return the steps of a block in the ledger of a run.

    >>> block_steps(120), block_steps(20_000)
    (10, 100)
    """
    return max(BLOCK_STEPS, ceil(num_steps / MAX_BLOCKS))


@dataclass(frozen=True)
class Ledger:
    """Samples, the tokens they train on, UTF-8 bytes of these, and a digest, by block of steps and domain.

    A digest is a sum over the samples (number, row and tokens of each), so that it is the same for any order of counting.
    """

    num_steps: int
    block_steps: int
    samples: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    bytes: tuple[tuple[int, ...], ...]
    digests: tuple[tuple[int, ...], ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """Samples per domain in the whole run."""
        return tuple(sum(column) for column in zip(*self.samples, strict=True))

    @property
    def token_totals(self) -> tuple[int, ...]:
        """Tokens per domain that the whole run trained on."""
        return tuple(sum(column) for column in zip(*self.tokens, strict=True))


class ConsumptionLog:
    """What the steps of a run took so far: `add` counts a batch, `state` is what a checkpoint keeps."""

    def __init__(self, segments: Segments, num_domains: int) -> None:
        num_steps = segments[-1].stop_step
        self._segments, self._every = segments, block_steps(num_steps)
        blocks = ceil(num_steps / self._every)
        self._state = np.zeros((4, blocks, num_domains), dtype=np.int64)
        self._waiting = list[Batch]()
        self._left = _MANY

    def add(self, batch: Batch) -> None:
        """Count the samples of a batch."""
        self._waiting.append(batch)
        self._left -= len(batch.bytes)
        if self._left <= 0:
            self._count()

    def state(self) -> Integers:
        """Return what was counted, shape [4, B, N]; those of the processes of a run are summed."""
        self._count()
        return self._state

    def restore(self, state: npt.ArrayLike) -> None:
        """Go on from what a log held."""
        self._state = np.array(state, dtype=np.int64).reshape(self._state.shape)
        self._waiting.clear()

    def ledger(self, state: Integers, num_steps: int) -> Ledger:
        """Return the ledger of a run that made so many steps, of the sum of its processes' states."""
        return Ledger(num_steps, self._every, *(_rows(part[: ceil(num_steps / self._every)]) for part in state))

    def _count(self) -> None:
        self._left = _MANY
        if not self._waiting:
            return
        numbers = np.concatenate([np.arange(one.start, one.start + len(one.bytes)) for one in self._waiting])
        domains = np.concatenate([one.samples.domains for one in self._waiting])
        rows = np.concatenate([one.samples.rows for one in self._waiting])
        checksums = np.concatenate([one.checksums for one in self._waiting])
        place = (steps_of_samples(self._segments, numbers) // self._every, domains)
        # One after the other: two samples at one place would be one with `+=`.
        np.add.at(self._state[0], place, 1)
        np.add.at(self._state[1], place, np.concatenate([one.num_targets for one in self._waiting]))
        np.add.at(self._state[2], place, np.concatenate([one.bytes for one in self._waiting]))
        np.add.at(self._state[3], place, sample_digests(numbers, rows, checksums))
        self._waiting.clear()


def sample_digests(numbers_S: Integers, rows_S: Integers, checksums_S: npt.NDArray[np.uint64]) -> Integers:
    """Return 64 bits that stand for each sample: its number in the run, its row and its tokens."""
    of_row = mixed(rows_S.astype(np.uint64) ^ mixed(checksums_S))
    return mixed(numbers_S.astype(np.uint64) ^ of_row).view(np.int64)


def _rows(part_BN: Integers) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in part_BN.tolist())


def check_planned(data: RunData, ledger: Ledger, where: str) -> None:
    """Check that a run took of every domain, in every block of its steps, what its recipe promised.

    Raises:
        AccountError: in how many blocks it did not, and what the first of them took.
    """
    planned = tuple(_planned(data, ledger, block) for block in range(len(ledger.samples)))
    if planned == ledger.samples:
        return
    wrong = [block for block, pair in enumerate(zip(planned, ledger.samples, strict=True)) if pair[0] != pair[1]]
    raise AccountError(
        f"{where}: the samples consumed are not those of the recipe in {len(wrong)} of {len(planned)} blocks of "
        f"{ledger.block_steps} steps; first: block {wrong[0]}, {planned[wrong[0]]} != {ledger.samples[wrong[0]]}. This is "
        "a defect, please report it with the recipe."
    )


def _planned(data: RunData, ledger: Ledger, block: int) -> tuple[int, ...]:
    taken = [piece.after_N - piece.before_N for piece in data.pieces(*_samples_of(data, ledger, block))]
    return tuple(np.sum(taken, axis=0).tolist())


def _samples_of(data: RunData, ledger: Ledger, block: int) -> tuple[int, int]:
    """Return first and last sample (excluded) of a block."""
    first, stop = (min(number * ledger.block_steps, ledger.num_steps) for number in (block, block + 1))
    return samples_before(data.segments, first), samples_before(data.segments, stop)


def rebuilt_ledger(data: RunData, num_steps: int | None = None) -> Ledger:
    """Return the ledger of a run (of its first steps) from what its recipe says, by reading its samples once more."""
    steps = data.segments[-1].stop_step if num_steps is None else num_steps
    log = consumption(data, steps)
    return log.ledger(log.state(), steps)


def consumption(data: RunData, num_steps: int) -> ConsumptionLog:
    """Return the log of a run's first steps, by reading their samples."""
    log = ConsumptionLog(data.segments, len(data.pool.names))
    for start, stop in islice(shares_of_steps(data.segments, 0), num_steps):
        log.add(data.read(start, stop))
    return log


def ledger_rows(ledger: Ledger, data: RunData) -> Iterator[LedgerRow]:
    """Yield a row per block of steps and domain that gave samples; `epochs` counts from the start of the run."""
    counted = (ledger.samples, ledger.tokens, ledger.bytes, ledger.digests)
    for block, (samples, tokens, sizes, digests) in enumerate(zip(*counted, strict=True)):
        first_step, last_step = block * ledger.block_steps, min((block + 1) * ledger.block_steps, ledger.num_steps) - 1
        start, stop = _samples_of(data, ledger, block)
        pieces, epochs = tuple(data.pieces(start, stop)), data.epochs_before(stop).tolist()
        for domain, name in enumerate(data.pool.names):
            own = [piece for piece in pieces if piece.after_N[domain] > piece.before_N[domain]]
            if not own:
                continue
            yield LedgerRow(
                first_step=first_step,
                last_step=last_step,
                domain=name,
                samples=samples[domain],
                tokens=tokens[domain],
                bytes=sizes[domain],
                epochs=round(epochs[domain], 6),
                first_document=own[0].documents(domain)[0],
                last_document=own[-1].documents(domain)[1],
                digest=f"{digests[domain] % (1 << 64):016x}",
            )
