"""The second size where none is named: between the proxies and the full run, and never one that leads nowhere."""

from math import log, sqrt

import pytest

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.second_size import between
from tasks.mixture.transfer import TransferParams
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.model_size import num_parameters
from tasks.training.params import demo_full, demo_proxy

PROXY, FULL = demo_proxy(), demo_full()


def compute(training: TrainingConfig) -> float:
    return num_parameters(training.model, 4096)[0] * float(training.num_tokens)


def test_parameters_tokens_and_rate_are_half_way_on_a_logarithmic_scale() -> None:
    found = between(PROXY, FULL, 4.0)
    assert found is not None
    assert compute(found) == pytest.approx(sqrt(compute(PROXY) * compute(FULL)), rel=0.15)
    assert found.num_tokens == pytest.approx(sqrt(PROXY.num_tokens * FULL.num_tokens), rel=0.02)
    rates = PROXY.optimizer.learning_rate, FULL.optimizer.learning_rate
    assert found.optimizer.learning_rate == pytest.approx(sqrt(rates[0] * rates[1]))
    # All else is the proxies': their schedule, so that curves compare, and what a stack can train.
    assert found.optimizer.schedule == PROXY.optimizer.schedule and found.stackable


def test_of_a_far_larger_run_a_second_proxy_takes_no_more_than_its_share() -> None:
    values = FULL.model_dump()
    values["model"] |= {"hidden_size": 1024, "num_layers": 16, "intermediate_size": 2816, "num_heads": 16}
    far = TrainingConfig.model_validate({**values, "num_tokens": 10**6 * 2048})
    found = between(PROXY, far, 4.0)
    assert found is not None and log(compute(far) / compute(PROXY)) > 15
    assert 2 < compute(found) / compute(PROXY) < 6


@pytest.mark.parametrize("full", [PROXY, PROXY.model_copy(update={"num_tokens": PROXY.num_tokens // 2})])
def test_where_the_full_run_is_no_larger_there_is_no_second_size(full: TrainingConfig) -> None:
    assert between(PROXY, full, 4.0) is None
    assert SearchParams(transfer=TransferParams()).aimed_at(full).transfer is None


def test_it_follows_the_run_that_is_trained_unless_it_is_named() -> None:
    open_, named = SearchParams(transfer=TransferParams()), SearchParams(transfer=TransferParams(training=FULL))
    aimed = open_.aimed_at(FULL)
    assert aimed.transfer is not None and aimed.transfer.second == between(PROXY, FULL, 4.0)
    assert aimed.target_model == FULL.model and aimed.aimed_at(FULL) == aimed
    kept = named.aimed_at(FULL).transfer
    assert kept is not None and kept.second == FULL
    # A search of one size speaks of that size, and knows nothing of the model that is trained.
    assert SearchParams().aimed_at(FULL).target_model is None
    other = ModelConfig.model_validate({**FULL.model.model_dump(), "num_layers": 3})
    assert SearchParams(transfer=TransferParams(), target_model=other).aimed_at(FULL).target_model == other


def test_a_second_size_that_nobody_has_decided_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search\.transfer\.training is null: it lies between"):
        assert TransferParams().second
