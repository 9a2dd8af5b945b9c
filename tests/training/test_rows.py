"""Rows of weighted documents: every copy is there once, no token is lost, and what is off changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, DataError
from tasks.training.data import order_over, run_data
from tasks.training.data_config import DataConfig
from tasks.training.document_numbers import copies
from tasks.training.exposure import exposure, tokens_seen
from tasks.training.ledger import ledger_rows, rebuilt_ledger
from tasks.training.pieces import best_fit_pieces, stream_pieces
from tasks.training.rows import rows_of
from tasks.training.segments import Layout
from tasks.training.types import Phase, RunSpec
from tests.training.conftest import small_training
from tests.training.documents import END, memory_pool

LENGTHS = [5, 9, 2, 30, 7, 1, 12, 4]
WEIGHTED, SORTED = DataConfig(document_weights="weight"), DataConfig(curriculum="score")


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=8), st.integers(1, 9))
@settings(max_examples=80)
def test_a_stream_holds_each_copy_once_up_to_the_last_whole_row(documents: list[tuple[int, int]], length: int) -> None:
    lengths, times = np.array(documents, dtype=np.int64).reshape(-1, 2).T
    starts = np.cumsum(lengths) - lengths
    pieces = stream_pieces(starts, lengths, times, length)
    order = [document for one in range(3) for document in np.flatnonzero(times > one).tolist()]
    stream = [token for document in order for token in range(starts[document], starts[document] + lengths[document])]
    found = [
        token
        for start, size in zip(pieces.starts.tolist(), pieces.lengths.tolist(), strict=True)
        for token in range(start, start + size)
    ]
    assert found == stream[: len(stream) // length * length]
    assert np.bincount(pieces.rows, pieces.lengths, minlength=len(pieces.first) - 1).tolist() == [length] * (
        len(pieces.first) - 1
    )


def test_a_row_is_what_stands_before_it_and_its_documents() -> None:
    pool = memory_pool({"a": [3, 4, 2]}, {"a": {"weight": [1.0, 2.0, 0.0]}})
    (rows,) = rows_of(pool, Layout(5), WEIGHTED)
    # The stream is 1 1 END 2 2 2 END 2 2 2 END: two rows of 5, and one token is left over.
    assert [rows.row(index).tolist() for index in range(rows.count)] == [[END, 1, 1, END, 2, 2], [2, 2, END, 2, 2, 2]]
    assert rows.distinct == 1
    first, last = rows.documents(np.arange(2))
    assert (first.tolist(), last.tolist()) == ([0, 1], [1, 1])
    assert [part.tolist() for part in rows.of_document(1)] == [[0, 1], [2, 5]]
    assert rows.tokens_seen(np.array([1, 3])).tolist() == [3, 17, 0]


def test_a_weights_fraction_is_the_share_of_documents_that_get_another_copy() -> None:
    ids = np.arange(20_000, dtype=np.uint64)
    times = copies(np.full(20_000, 2.3), ids, 0, "a")
    assert set(times.tolist()) == {2, 3}
    assert times.mean() == pytest.approx(2.3, abs=0.01)
    assert (copies(np.full(20_000, 2.3), ids, 1, "a") != times).any()
    # Which documents these are depends on their ids, not on their place.
    assert (
        copies(np.full(10, 0.5), ids[::-1][:10], 0, "a").tolist()
        == copies(np.full(20_000, 0.5), ids, 0, "a")[::-1][:10].tolist()
    )


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused_with_its_document(weight: float) -> None:
    with pytest.raises(DataError, match=r"a: 1 of 3 documents have a weight .*first: document 1"):
        copies(np.array([1.0, weight, 1.0]), np.arange(3, dtype=np.uint64), 0, "a")


def test_weights_that_ask_for_more_copies_than_can_be_laid_out_are_refused_with_the_largest() -> None:
    with pytest.raises(DataError, match=r"a: 3 weights ask for 1e\+18 copies .*document 1 with 1e\+18"):
        copies(np.array([1.0, 1e18, 1.0]), np.arange(3, dtype=np.uint64), 0, "a")


def test_a_score_that_is_no_number_is_refused_with_its_document() -> None:
    pool = memory_pool({"a": LENGTHS}, {"a": {"score": [1.0, 2.0, float("nan"), *[1.0] * 5]}})
    with pytest.raises(
        DataError, match=r"a: 1 of 8 documents have a score that is no finite number; first: document 2"
    ):
        rows_of(pool, Layout(4), SORTED)


def test_a_column_that_the_pool_lacks_is_named_with_those_it_has() -> None:
    pool = memory_pool({"a": LENGTHS}, {"a": {"score": [1.0] * len(LENGTHS)}})
    with pytest.raises(ConfigError, match=r"a: .*called weight .*it has score.*tokenize\.document_columns"):
        rows_of(pool, Layout(4), WEIGHTED)


def weighted_spec(config: DataConfig | None, max_epochs: float | None = None) -> RunSpec:
    training = small_training().model_copy(update={"data": config})
    return RunSpec("small", (Phase(training.num_tokens, (0.5, 0.5)),), 0, training, max_epochs)


LONG = {"a": [50] * 30, "b": [17] * 60}
COLUMNS = {
    "a": {"weight": [2.0, 0.0, 1.5] * 10, "score": [float(k % 7) for k in range(30)]},
    "b": {"weight": [1.0] * 60, "score": [float(-k) for k in range(60)]},
}


def test_options_that_are_off_change_no_sample() -> None:
    pool = memory_pool(LONG, COLUMNS)
    plain, off = (run_data(weighted_spec(config), pool).read(0, 48) for config in (None, DataConfig()))
    assert np.array_equal(plain.tokens, off.tokens)
    assert (
        plain.tokens[0].tolist()
        == pool.row(int(plain.samples.domains[0]), "train", int(plain.samples.rows[0]), 16).tolist()
    )


def test_copies_are_trained_on_and_count_against_the_cap_on_epochs() -> None:
    pool = memory_pool(LONG, COLUMNS)
    data = run_data(weighted_spec(WEIGHTED), pool)
    batch, seen = data.read(0, 48), tokens_seen(data, 0)
    in_a = batch.tokens[batch.samples.domains == 0, 1:]
    assert seen.sum() == 24 * 16
    assert (np.bincount(in_a.ravel(), minlength=31)[1:] <= seen).all()
    # Documents 1, 4, ... have weight 0.
    assert not seen[1::3].any() and seen[0::3].sum() > seen[2::3].sum() > 0
    # 1,000 tokens of documents that are there give 62 rows, whatever their copies: 24 samples are 0.39 epochs.
    assert data.parts[0].order.distinct == (62, 63)
    with pytest.raises(ConfigError, match="24 samples asked of 62"):
        run_data(weighted_spec(WEIGHTED, 0.3), pool)


def test_a_curriculum_draws_the_same_rows_by_their_score_within_an_epoch() -> None:
    pool = memory_pool(LONG, COLUMNS)
    spec = weighted_spec(SORTED)
    data = run_data(spec, pool)
    shuffled = replace(data.parts[0].order, scores=None).samples(0, 48)
    in_order = data.parts[0].order.samples(0, 48)
    for domain in (0, 1):
        rows, scores = in_order.rows[in_order.domains == domain], data.parts[0].rows[domain].scores
        assert scores is not None
        assert sorted(rows.tolist()) == sorted(shuffled.rows[shuffled.domains == domain].tolist())
        assert (np.diff(scores[rows]) >= 0).all()
        assert np.diff(scores[rows]).any()
    part = data.parts[0].order.samples(17, 31)
    assert part.rows.tolist() == in_order.rows[17:31].tolist()
    for document in (0, 3):
        found = (data.read(0, 48).tokens[in_order.domains == 1, 1:] == document + 1).sum()
        assert exposure(data, 1, document) * 17 == pytest.approx(found + round(exposure(data, 1, document)))
    ledger = rebuilt_ledger(data)
    assert sum(row.samples for row in ledger_rows(ledger, data)) == 48


def test_an_epoch_that_ends_within_the_run_is_sorted_too() -> None:
    pool = memory_pool({"a": [20] * 5}, {"a": {"score": [5.0, 4.0, 3.0, 2.0, 1.0]}})
    rows = rows_of(pool, Layout(10), SORTED)
    order = order_over(rows, [Phase(10 * 25, (1.0,))], ["a"], 0)
    samples, scores = order.samples(0, 25), rows[0].scores
    assert scores is not None
    for epoch in (0, 1):
        own = samples.rows[samples.epochs == epoch]
        assert sorted(own.tolist()) == list(range(10))
        assert (np.diff(scores[own]) >= 0).all()
    assert len(set(samples.rows[samples.epochs == 2].tolist())) == 5


PACKED = DataConfig(packing="best_fit")


@given(st.lists(st.tuples(st.integers(1, 25), st.integers(0, 2)), max_size=12), st.integers(2, 9))
@settings(max_examples=80)
def test_packed_rows_hold_every_token_once_and_split_only_what_fits_into_none(
    documents: list[tuple[int, int]], length: int
) -> None:
    lengths, times = np.array(documents, dtype=np.int64).reshape(-1, 2).T
    starts = np.cumsum(lengths) - lengths
    pieces = best_fit_pieces(starts, lengths, times, length)
    found = np.zeros(int(lengths.sum()), dtype=np.int64)
    for start, size in zip(pieces.starts.tolist(), pieces.lengths.tolist(), strict=True):
        found[start : start + size] += 1
    expected = np.repeat(times, lengths)
    # An end that is left alone behind whole rows is left out.
    expected[(starts + lengths - 1)[lengths % length == 1]] = 0
    assert found.tolist() == expected.tolist()
    filled = np.bincount(pieces.rows, pieces.lengths, minlength=len(pieces.first) - 1)
    assert ((filled > 0) & (filled <= length)).all()
    pieces_of = np.bincount(pieces.documents, minlength=len(lengths))
    assert pieces_of.tolist() == (times * (lengths // length + (lengths % length > 1))).tolist()
    # Two rows that are together no fuller than one would be one.
    assert len(filled) < 2 or np.sort(filled)[:2].sum() > length


def test_a_packed_row_is_padded_with_ends_that_are_no_targets() -> None:
    (rows,) = rows_of(memory_pool({"a": [3, 4, 2, 12]}), Layout(5), PACKED)
    assert [rows.row(index).tolist() for index in range(rows.count)] == [
        [END, 4, 4, 4, 4, 4],
        [4, 4, 4, 4, 4, 4],
        [END, 2, 2, 2, END, END],
        [END, 1, 1, END, 3, END],
        [4, 4, END, END, END, END],
    ]
    assert rows.tokens_seen(np.ones(5, dtype=np.int64)).tolist() == [3, 4, 2, 12]


def test_the_ledger_of_packed_rows_counts_no_padding() -> None:
    pool = memory_pool({"a": [13] * 40, "b": [17] * 60})
    spec = weighted_spec(PACKED)
    data = run_data(spec, pool)
    ledger = rebuilt_ledger(data)
    batch = data.read(0, 48)
    padding = ((batch.tokens[:, :-1] == END) & (batch.tokens[:, 1:] == END)).sum(axis=1)
    assert batch.num_targets.tolist() == (16 - padding).tolist()
    assert sum(ledger.token_totals) == 48 * 16 - padding.sum() < 48 * 16
    assert ledger.token_totals[0] == tokens_seen(data, 0).sum()
