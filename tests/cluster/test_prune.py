"""Pruning clusters by their mean scores."""

import numpy as np
import pytest

from tasks.cluster.prune import PruneReason, QuantilePrune, ThresholdPrune, columns, pruned
from tasks.core.errors import ConfigError


def test_clusters_below_the_quantile_go_and_say_why() -> None:
    means = {"quality": np.array([0.5, 0.1, 0.9, 0.7, 0.6])}
    found = pruned(QuantilePrune(prune_quantile=0.25), means)
    assert found == {1: PruneReason("quality", 0.1, 0.5)}


def test_equal_clusters_all_stay() -> None:
    assert pruned(QuantilePrune(), {"quality": np.full(8, 0.3)}) == {}


def test_thresholds_must_all_be_reached() -> None:
    config = ThresholdPrune(kind="thresholds", minimum_means={"educational": 3.0, "quality": 2.0})
    means = {"educational": np.array([3.0, 2.9, 4.0]), "quality": np.array([2.0, 5.0, 1.0])}
    assert pruned(config, means) == {1: PruneReason("educational", 2.9, 3.0), 2: PruneReason("quality", 1.0, 2.0)}
    assert columns(config) == ("educational", "quality")


def test_thresholds_that_no_cluster_reaches_are_refused_with_the_best_mean() -> None:
    config = ThresholdPrune(kind="thresholds", minimum_means={"quality": 3.0})
    with pytest.raises(ConfigError, match=r"all 2 clusters.*quality: 2.5 for at least 3"):
        pruned(config, {"quality": np.array([2.5, 1.0])})


def test_a_mean_that_is_not_a_number_does_not_pass() -> None:
    config = ThresholdPrune(kind="thresholds", minimum_means={"quality": 1.0})
    assert list(pruned(config, {"quality": np.array([np.nan, 2.0])})) == [0]


def test_off_prunes_nothing() -> None:
    assert pruned(None, {}) == {}
    assert columns(None) == ()
