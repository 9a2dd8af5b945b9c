"""Ward linkage into domains."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from tasks.cluster.merge import DistanceMerge, Sizes, WardMerge, merge
from tasks.core.errors import ConfigError
from tasks.core.rng import generator


def _sizes(documents: list[int], size: int = 1_000) -> Sizes:
    return Sizes(np.array(documents), np.array(documents) * size)


def _same_partition(left: np.ndarray, right: np.ndarray) -> bool:
    return np.array_equal(left[:, None] == left[None], right[:, None] == right[None])


def test_without_size_limits_the_groups_are_those_of_scipy() -> None:
    centroids = generator(1, "centroids").normal(size=(20, 5))
    found = merge(WardMerge(num_domains=6, min_share=0, min_documents=1), centroids, _sizes([10] * 20))
    assert _same_partition(found, fcluster(linkage(centroids, "ward"), 6, "maxclust"))


def test_groups_far_apart_are_found_again() -> None:
    truth = np.repeat([0, 1, 2], 5)
    centroids = truth[:, None] * 10.0 + generator(2, "noise").normal(size=(15, 3))
    assert _same_partition(merge(WardMerge(num_domains=3), centroids, _sizes([50] * 15)), truth)


def test_an_outlier_too_small_to_be_a_domain_joins_its_nearest_group() -> None:
    centroids = np.array([[0.0], [0.1], [5.0], [5.1], [40.0]])
    found = merge(WardMerge(num_domains=2, min_documents=50, min_share=0), centroids, _sizes([60, 60, 60, 60, 3]))
    assert found.tolist() == [0, 0, 1, 1, 1]


def test_too_few_large_groups_are_an_error_that_counts_them() -> None:
    with pytest.raises(ConfigError, match=r"at most 2 groups with 50 documents.*num_domains asks for 4"):
        merge(WardMerge(num_domains=4, min_documents=50), np.eye(4), _sizes([60, 60, 3, 3]))


def test_left_open_the_domains_are_what_the_clusters_make_of_the_corpus() -> None:
    # 30 documents: at most 3 domains, of at least 3 documents each.
    centroids = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.1, 0.0], [9.0, 9.0]])
    assert merge(WardMerge(), centroids, _sizes([8, 7, 7, 5, 3])).tolist() == [0, 0, 1, 1, 2]
    assert merge(WardMerge(), centroids[:4], _sizes([20, 7, 2, 1])).tolist() == [0, 1, 2, 2]
    with pytest.raises(ConfigError, match=r"at most 1 groups with 3 documents.*num_domains asks for 2"):
        merge(WardMerge(), centroids[[0, 4]], _sizes([28, 2]))


def test_the_distance_rule_cuts_where_it_says() -> None:
    centroids = np.array([[0.0], [0.5], [9.0]])
    assert merge(DistanceMerge(kind="ward_distance", max_distance=1.5), centroids, _sizes([1, 1, 1])).tolist() == [
        0,
        0,
        1,
    ]


def test_one_cluster_is_one_domain() -> None:
    assert merge(WardMerge(num_domains=1, min_documents=1), np.ones((1, 4)), _sizes([5])).tolist() == [0]


@given(st.lists(st.integers(1, 300), min_size=2, max_size=25), st.integers(1, 6), st.integers(0, 99))
def test_every_domain_is_large_enough_or_the_merge_refuses(documents: list[int], num_domains: int, seed: int) -> None:
    config = WardMerge(num_domains=num_domains, min_documents=100, min_share=0.05)
    sizes = _sizes(documents)
    try:
        found = merge(config, generator(seed, "centroids").normal(size=(len(documents), 3)), sizes)
    except ConfigError:
        return
    assert np.bincount(found).size == num_domains
    assert np.bincount(found, weights=sizes.documents_K).min() >= 100
    assert np.bincount(found, weights=sizes.bytes_K).min() >= 0.05 * sizes.bytes_K.sum()
