"""The schedule's arithmetic, written out."""

import pytest

from tasks.training.config import OptimizerConfig
from tasks.training.schedule import learning_rate


def test_the_rate_rises_stays_and_falls() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, decay_fraction=0.3)
    rates = [learning_rate(config, step, 10) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_without_warm_up_and_decay_the_rate_is_constant() -> None:
    config = OptimizerConfig(learning_rate=0.1, warmup_steps=0, decay_fraction=0.0)
    assert {learning_rate(config, step, 5) for step in range(5)} == {0.1}
