"""The split into train, search and test."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.cluster.config import ClusterParams, Split, WardMerge
from tasks.cluster.decide import Documents, decide
from tasks.cluster.kmeans import Partition
from tasks.cluster.split import split_of


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=40), st.integers(0, 1000))
def test_a_duplicate_cluster_is_never_on_two_sides_not_even_across_domains(clusters: list[str], seed: int) -> None:
    count = len(clusters)
    labels = np.arange(count, dtype=np.int32) % 2
    documents = Documents(
        [str(n) for n in range(count)], ["s"] * count, clusters, np.full(count, 7), {"quality": np.ones(count)}
    )
    params = ClusterParams(
        seed=seed,
        merge=WardMerge(num_domains=2, min_documents=1),
        split=Split(search_fraction=0.3, test_fraction=0.3),
    )
    decision = decide(documents, Partition(labels, np.array([[0.0], [1.0]])), params)
    sides = {
        cluster: {s for c, s in zip(clusters, decision.split_N, strict=True) if c == cluster} for cluster in clusters
    }
    assert all(len(own) == 1 for own in sides.values())


def test_the_shares_are_those_asked_for() -> None:
    split = Split(search_fraction=0.1, test_fraction=0.2)
    counts = Counter(split_of(f"document-{number}", split, seed=3) for number in range(20_000))
    assert abs(counts["search"] / 20_000 - 0.1) < 0.01
    assert abs(counts["test"] / 20_000 - 0.2) < 0.01


def test_another_seed_gives_another_split() -> None:
    split = Split(search_fraction=0.5, test_fraction=0.1)
    names = [str(number) for number in range(100)]
    assert [split_of(name, split, 0) for name in names] != [split_of(name, split, 1) for name in names]


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        Split(search_fraction=0.5, test_fraction=0.5)
