"""Exposure is rebuilt from the recipe, and is what the run consumed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tokenize.pool import TokenPool
from tasks.training.data import OrderedRows, RunData
from tasks.training.exposure import (
    appearances,
    exposure,
    sample_number,
    samples_seen,
    times_seen,
    tokens_seen,
)
from tasks.training.order import DataOrder
from tasks.training.rows import DomainRows, rows_of
from tasks.training.segments import Layout, Segment
from tests.training.conftest import small_training
from tests.training.documents import memory_pool


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 3), st.data())
def test_every_row_is_seen_once_per_epoch_and_the_sum_is_what_was_drawn(
    rows: list[int], seed: int, data: st.DataObject
) -> None:
    counts = [data.draw(st.integers(0, 3 * size)) for size in rows]
    order = DataOrder(tuple(f"d{index}" for index in range(len(rows))), tuple(rows), (tuple(counts),), seed)
    for domain, (size, asked) in enumerate(zip(rows, counts, strict=True)):
        seen_R = times_seen(order, domain)
        assert seen_R.sum() == asked
        assert set(seen_R.tolist()) <= {asked // size, -(-asked // size)}


def run_over(lengths: list[int], drawn: int) -> RunData:
    """Return a run that draws so many rows of 4 tokens of one domain of documents."""
    pool = memory_pool({"a": lengths})
    rows = rows_of(pool, Layout(4), None)
    return of_one_length(DataOrder(("a",), (rows[0].count,), ((drawn if rows[0].count else 0,),), 0), pool, rows)


def of_one_length(order: DataOrder, pool: TokenPool, rows: tuple[DomainRows, ...]) -> RunData:
    """Return a run whose steps are samples of 4 tokens."""
    model = small_training(sequence_length=4).model
    return RunData((OrderedRows(order, pool, rows),), (Segment(0, order.num_samples, 0, 1, model, Layout(4)),))


def test_a_document_that_fills_a_domain_is_seen_as_often_as_the_domain_has_epochs() -> None:
    # Rows of 4 targets: tokens 1 to 40; token 0 is context only.
    assert exposure(run_over([1, 40], 30), 0, 1) == 3.0
    assert exposure(run_over([41], 30), 0, 0) == np.float64(120 / 41)
    assert exposure(run_over([41, 3], 30), 0, 1) == 0.0


def test_a_document_in_a_row_that_was_not_drawn_was_not_seen() -> None:
    data = run_over([1] + [4] * 10, 3)
    seen_R = times_seen(data.parts[0].order, 0)
    for row in range(10):
        assert exposure(data, 0, row + 1) == seen_R[row]


@settings(max_examples=30)
@given(st.integers(0, 3), st.integers(0, 40), st.integers(0, 25), st.floats(0.2, 1.0))
def test_first_and_last_appearance_are_those_of_the_samples(seed: int, one: int, other: int, share: float) -> None:
    # Two phases, the second with a ramp; of domain a only a share of the rows may be used.
    rows, available = (max(1, round(9 * share)), 5), (9, 5)
    order = DataOrder(("a", "b"), rows, ((one, 7), (5, other)), seed, available, (None, (1.4, 0.6)))
    samples = order.samples(0, order.num_samples)
    for domain, size in enumerate(available):
        found = appearances(order, domain, np.arange(size))
        for row in range(size):
            where = np.flatnonzero((samples.domains == domain) & (samples.rows == row))
            assert found.times[row] == len(where)
            if len(where):
                ends = [sample_number(order, domain, int(draws[row])) for draws in (found.first, found.last)]
                assert ends == [where[0], where[-1]]


def test_a_document_is_traced_to_the_samples_that_hold_it() -> None:
    lengths = [3, 6, 1, 9, 12, 4, 6]
    data = run_over(lengths, 7)
    samples, starts = data.parts[0].order.samples(0, 7), np.cumsum([0, *lengths])
    for document in range(len(lengths)):
        held = {(token - 1) // 4 for token in range(starts[document], starts[document + 1]) if token}
        where = [n for n in range(7) if int(samples.rows[n]) in held]
        assert samples_seen(data, 0, document) == ((where[0], where[-1]) if where else None)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 30))
def test_the_tokens_seen_of_documents_are_their_exposure(lengths: list[int], drawn: int) -> None:
    data = run_over(lengths, drawn)
    seen = tokens_seen(data, 0)
    assert seen.tolist() == [round(exposure(data, 0, document) * size) for document, size in enumerate(lengths)]
    assert seen.sum() == 4 * data.parts[0].order.num_samples
