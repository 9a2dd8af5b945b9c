"""Exact nearest neighbours: ranks as defined, and products that no order of adding changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.embedding import nearest
from tasks.embedding.documents import EmbeddedDocuments, whole_numbers
from tasks.embedding.nearest import best_ranks


def unit(number: int, dimensions: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(number, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_a_rank_is_one_and_the_number_of_documents_that_are_nearer(
    number: int, examples: int, dimensions: int, seed: int
) -> None:
    pool, asked = unit(number, dimensions, seed), unit(examples, dimensions, seed + 1)
    pool[number // 2] = pool[0]
    products = np.rint(asked * 4000).astype(np.int64) @ np.rint(pool * 4000).astype(np.int64).T
    ranks = 1 + (products[:, None, :] > products[:, :, None]).sum(axis=2)
    found = best_ranks(asked, pool)
    assert found.rank_N.tolist() == ranks.min(axis=0).tolist()
    assert found.example_N.tolist() == ranks.argmin(axis=0).tolist()
    assert found.nearest_M.tolist() == (products.max(axis=1) / 4000**2).tolist()


def test_products_are_exact_whatever_is_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, asked = unit(50, 1024), unit(7, 1024, 1)
    pool[3] = asked[2]
    whole = whole_numbers(pool)
    exact = whole_numbers(asked).astype(np.int64) @ whole.astype(np.int64).T
    assert (whole_numbers(asked) @ whole.T).tolist() == exact.tolist()
    assert whole_numbers(asked)[2].dot(whole[3]) == exact[2, 3] == exact.max()
    first = best_ranks(asked, pool)
    monkeypatch.setattr(nearest, "_BLOCK", 1)
    assert best_ranks(asked, pool).rank_N.tolist() == first.rank_N.tolist()


def test_vectors_that_cannot_be_compared_exactly_are_refused() -> None:
    with pytest.raises(ValueError, match="9001 dimensions, at most 9000"):
        whole_numbers(np.zeros((1, 9_001), np.float32))
    with pytest.raises(ValueError, match="1 ids, 1 sources, 2 vectors"):
        EmbeddedDocuments(("a",), ("s",), np.zeros((2, 3), np.float32))
