"""What a run reads is the same for any number of processes, threads and micro-batches, and its ledger says what it was."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tasks.tokenize.pool import TokenPool
from tasks.training.data import Batch, RunData, run_data
from tasks.training.interleave import Integers
from tasks.training.ledger import BLOCK_STEPS, MAX_BLOCKS, ConsumptionLog, Ledger, block_steps, rebuilt_ledger
from tasks.training.loader import prefetched
from tasks.training.segments import shares_of_steps
from tests.training.conftest import LENGTH, small_spec

STEPS = 25
SEGMENTS = small_spec(num_tokens=STEPS * 4 * LENGTH).segments


@pytest.fixture
def data(pool: TokenPool) -> RunData:
    """A run of 25 steps of 4 samples, over more than one epoch of the smallest domain."""
    return run_data(small_spec((0.3, 0.2, 0.5), num_tokens=STEPS * 4 * LENGTH), pool)


def read_by(data: RunData, *, ranks: int, workers: int, micro_batches: int) -> Iterator[list[Batch]]:
    """Yield what each process of a run reads."""
    own = micro_batches // ranks
    for rank in range(ranks):
        ranges = shares_of_steps(data.segments, 0, rank * own, own, micro_batches)
        with prefetched(data.read, ranges, workers=workers, ahead=8) as batches:
            yield list(batches)


def counted(batches: list[Batch]) -> tuple[ConsumptionLog, Integers]:
    log = ConsumptionLog(SEGMENTS, 3)
    for batch in batches:
        log.add(batch)
    return log, log.state()


@pytest.mark.parametrize(("ranks", "micro_batches"), [(1, 1), (1, 4), (2, 2), (2, 4), (4, 4)])
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_ranks_loader_workers_and_micro_batches_change_neither_samples_nor_ledger(
    data: RunData, ranks: int, workers: int, micro_batches: int
) -> None:
    read = list(read_by(data, ranks=ranks, workers=workers, micro_batches=micro_batches))
    in_order = sorted((batch for own in read for batch in own), key=lambda batch: batch.start)
    assert np.array_equal(np.concatenate([batch.tokens for batch in in_order]), data.read(0, STEPS * 4).tokens)
    state = sum(counted(own)[1] for own in read)
    assert isinstance(state, np.ndarray)
    assert ConsumptionLog(SEGMENTS, 3).ledger(state, STEPS) == rebuilt_ledger(data)


def test_a_batch_holds_the_rows_that_the_order_names(data: RunData) -> None:
    batch, samples = data.read(80, 90), data.parts[0].order.samples(80, 90)
    assert batch.samples.epochs.max() == 1
    for number in range(10):
        row = data.pool.row(int(samples.domains[number]), "train", int(samples.rows[number]), LENGTH)
        assert batch.tokens[number].tolist() == row.tolist()
        assert batch.bytes[number] == data.pool.token_bytes[row[1:]].sum()


def test_samples_behind_the_end_of_a_run_are_refused(data: RunData) -> None:
    with pytest.raises(IndexError, match="96 to 104 of a run of 100"):
        data.read(96, 104)


def test_what_a_thread_fails_at_is_raised_where_the_batch_is_asked_for(data: RunData) -> None:
    with prefetched(data.read, [(0, 4), (99, 104)], workers=2, ahead=4) as batches:
        next(batches)
        with pytest.raises(IndexError):
            next(batches)


def changed(batch: Batch, what: str) -> Batch:
    """Return a batch with two samples in another order, another row, or another token."""
    if what == "order":
        samples = replace(batch.samples, rows=batch.samples.rows[::-1], domains=batch.samples.domains[::-1])
        return replace(batch, samples=samples, checksums=batch.checksums[::-1])
    if what == "row":
        return replace(batch, samples=replace(batch.samples, rows=batch.samples.rows + 1))
    return replace(batch, checksums=batch.checksums ^ np.uint64(1))


@pytest.mark.parametrize("what", ["order", "row", "token"])
def test_another_sample_gives_another_digest(data: RunData, what: str) -> None:
    batch = data.read(0, 40)
    assert not np.array_equal(counted([batch])[1][3], counted([changed(batch, what)])[1][3])


def test_a_log_that_was_kept_goes_on_where_it_was(data: RunData) -> None:
    batches = [data.read(start, stop) for start, stop in shares_of_steps(data.segments, 0)]
    _, kept = counted(batches[:7])
    log = ConsumptionLog(SEGMENTS, 3)
    log.add(batches[3])
    log.restore(kept.tolist())
    for batch in batches[7:]:
        log.add(batch)
    ledger: Ledger = log.ledger(log.state(), STEPS)
    assert ledger == rebuilt_ledger(data)
    assert rebuilt_ledger(data, 7).samples == log.ledger(kept, 7).samples


@pytest.mark.parametrize("num_steps", [1, 9, 2000, 2001, 10**6])
def test_a_ledger_is_no_longer_for_a_long_run_than_for_a_short_one(num_steps: int) -> None:
    assert -(-num_steps // block_steps(num_steps)) <= MAX_BLOCKS
    assert block_steps(num_steps) >= BLOCK_STEPS
