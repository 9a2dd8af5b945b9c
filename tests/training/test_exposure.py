"""Exposure is rebuilt from the recipe, and is what the run consumed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.training.exposure import DocumentSpan, exposure, times_seen
from tasks.training.order import DataOrder


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


def test_a_document_that_fills_a_domain_is_seen_as_often_as_the_domain_has_epochs() -> None:
    order = DataOrder(("a",), (10,), ((30,),), 0)
    # Rows of 4 targets: tokens 1 to 40; token 0 is context only.
    assert exposure(order, DocumentSpan(0, 1, 40), 4) == 3.0
    assert exposure(order, DocumentSpan(0, 0, 41), 4) == np.float64(120 / 41)
    assert exposure(order, DocumentSpan(0, 41, 5), 4) == 0.0


def test_a_document_in_a_row_that_was_not_drawn_was_not_seen() -> None:
    order = DataOrder(("a",), (10,), ((3,),), 0)
    seen_R = times_seen(order, 0)
    for row in range(10):
        assert exposure(order, DocumentSpan(0, row * 4 + 1, 4), 4) == seen_R[row]
