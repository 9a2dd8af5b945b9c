"""The ledger of a run: what was consumed, per block of steps and domain. It can be rebuilt from the recipe alone.

While a run goes on, each batch that a step takes is added to a log of whole numbers that can be summed over processes in
any order. The data order says by arithmetic what the log must hold, however long the run is.

Axes: B blocks of steps, N domains, S samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tasks.core.errors import AccountError
from tasks.training.data import Batch, RunData
from tasks.training.data_config import DataConfig
from tasks.training.interleave import Integers
from tasks.training.permutation import mixed
from tasks.training.published_run import LedgerRow
from tasks.training.segments import Segments, samples_before, shares_of_steps, steps_of_samples
from tasks.training.transforms.row import NO_TARGET

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_STEPS = 10
# A ledger has at most so many blocks, so that it is as long for a long run as for a short one.
MAX_BLOCKS = 200
# Sums of weights are whole numbers of this, so that they are the same in any order.
WEIGHT_UNIT = 2.0**-20
Also = Literal["masked", "weights"]
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
    `masked` are samples in which nothing is predicted, where there may be such (None = there cannot), and `weights` what the
    tokens count in the loss, in units of `WEIGHT_UNIT`, where they may count something else than 1 each.
    """

    num_steps: int
    block_steps: int
    samples: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    bytes: tuple[tuple[int, ...], ...]
    digests: tuple[tuple[int, ...], ...]
    masked: tuple[tuple[int, ...], ...] | None = None
    weights: tuple[tuple[int, ...], ...] | None = None

    @property
    def totals(self) -> tuple[int, ...]:
        """Samples per domain in the whole run."""
        return tuple(sum(column) for column in zip(*self.samples, strict=True))

    @property
    def token_totals(self) -> tuple[int, ...]:
        """Tokens per domain that the whole run trained on."""
        return tuple(sum(column) for column in zip(*self.tokens, strict=True))


def also_counted(config: DataConfig | None, segments: Segments, *, objective: bool = False) -> tuple[Also, ...]:
    """Return what the ledger of a run has besides, with or without an objective: what may be there."""
    own = config or DataConfig()
    masked = own.gaps or any(one.metadata for one in segments)
    there: dict[Also, bool] = {"masked": masked, "weights": objective or own.loss_weights is not None}
    return tuple(name for name, counted in there.items() if counted)


class ConsumptionLog:
    """What the steps of a run took so far: `add` counts a batch, `state` is what a checkpoint keeps."""

    def __init__(self, segments: Segments, num_domains: int, also: Sequence[Also] = ()) -> None:
        num_steps = segments[-1].stop_step
        self._segments, self._every, self._also = segments, block_steps(num_steps), tuple(also)
        blocks = ceil(num_steps / self._every)
        self._state = np.zeros((4 + len(also), blocks, num_domains), dtype=np.int64)
        self._waiting = list[tuple[Batch, "Tensor | None"]]()
        self._left = _MANY

    def add(self, batch: Batch, weights_ST: "Tensor | None" = None) -> None:
        """Count the samples of a batch, whose tokens count so much in the loss; None = what the batch says."""
        self._waiting.append((batch, weights_ST))
        self._left -= len(batch.bytes)
        if self._left <= 0:
            self._count()

    def state(self) -> Integers:
        """Return what was counted, shape [4 or more, B, N]; those of the processes of a run are summed."""
        self._count()
        return self._state

    def restore(self, state: npt.ArrayLike) -> None:
        """Go on from what a log held."""
        self._state = np.array(state, dtype=np.int64).reshape(self._state.shape)
        self._waiting.clear()

    def ledger(self, state: Integers, num_steps: int) -> Ledger:
        """Return the ledger of a run that made so many steps, of the sum of its processes' states."""
        parts = [_rows(part[: ceil(num_steps / self._every)]) for part in state]
        return Ledger(num_steps, self._every, *parts[:4], **dict(zip(self._also, parts[4:], strict=True)))

    def _count(self) -> None:
        self._left = _MANY
        if not self._waiting:
            return
        batches = [batch for batch, _ in self._waiting]
        numbers = np.concatenate([np.arange(one.start, one.start + len(one.bytes)) for one in batches])
        domains = np.concatenate([one.samples.domains for one in batches])
        rows = np.concatenate([one.samples.rows for one in batches])
        checksums = np.concatenate([one.checksums for one in batches])
        place = (steps_of_samples(self._segments, numbers) // self._every, domains)
        targets = np.concatenate([one.num_targets for one in batches])
        # One after the other: two samples at one place would be one with `+=`.
        np.add.at(self._state[0], place, 1)
        np.add.at(self._state[1], place, targets)
        np.add.at(self._state[2], place, np.concatenate([one.bytes for one in batches]))
        np.add.at(self._state[3], place, sample_digests(numbers, rows, checksums))
        for name, state in zip(self._also, self._state[4:], strict=True):
            more = targets == 0 if name == "masked" else np.concatenate([_weights(*one) for one in self._waiting])
            np.add.at(state, place, more)
        self._waiting.clear()


def sample_digests(numbers_S: Integers, rows_S: Integers, checksums_S: npt.NDArray[np.uint64]) -> Integers:
    """Return 64 bits that stand for each sample: its number in the run, its row and its tokens."""
    of_row = mixed(rows_S.astype(np.uint64) ^ mixed(checksums_S))
    return mixed(numbers_S.astype(np.uint64) ^ of_row).view(np.int64)


def _weights(batch: Batch, weights_ST: "Tensor | None") -> Integers:
    """Return what the predicted tokens of each sample count in the loss, in units of `WEIGHT_UNIT`, [S]."""
    given = batch.weights if weights_ST is None else weights_ST.double().cpu().numpy()
    if given is None:
        return np.rint(batch.num_targets / WEIGHT_UNIT).astype(np.int64)
    sums_S = given.sum(axis=1, dtype=np.float64, where=batch.pairs[:, 1] != NO_TARGET)
    found: Integers = np.rint(sums_S / WEIGHT_UNIT).astype(np.int64)
    return found


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
    """Return the ledger of a run (of its first steps) from what its recipe says, by reading its samples once more.

    What an objective made tokens count is known by the run alone: here they count what the data says.
    """
    steps = data.segments[-1].stop_step if num_steps is None else num_steps
    log = consumption(data, steps)
    return log.ledger(log.state(), steps)


def consumption(data: RunData, num_steps: int) -> ConsumptionLog:
    """Return the log of a run's first steps, by reading their samples."""
    log = ConsumptionLog(data.segments, len(data.pool.names), also_counted(data.parts[0].config, data.segments))
    for start, stop in islice(shares_of_steps(data.segments, 0), num_steps):
        log.add(data.read(start, stop))
    return log


def ledger_rows(ledger: Ledger, data: RunData) -> Iterator[LedgerRow]:
    """Yield a row per block of steps and domain that gave samples; `epochs` counts from the start of the run."""
    for block, samples in enumerate(ledger.samples):
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
                tokens=ledger.tokens[block][domain],
                bytes=ledger.bytes[block][domain],
                epochs=round(epochs[domain], 6),
                first_document=own[0].documents(domain)[0],
                last_document=own[-1].documents(domain)[1],
                digest=f"{ledger.digests[block][domain] % (1 << 64):016x}",
                masked=None if ledger.masked is None else ledger.masked[block][domain],
                weight=None if ledger.weights is None else ledger.weights[block][domain] * WEIGHT_UNIT,
            )
