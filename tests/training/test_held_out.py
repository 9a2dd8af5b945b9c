"""Evaluation on held-out text while a run is under way: published, resumed with it, and no mark on its weights."""

from pathlib import Path

import pytest

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.data_config import EvaluationConfig
from tasks.training.held_out import evaluation_words
from tasks.training.measure import bits_per_byte
from tasks.training.params import TrainParams
from tasks.training.published_run import EvaluationRow, read_evaluations
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.stage import run
from tests.training.conftest import small_spec, small_training
from tests.training.test_run import KilledError, digest, kill_at
from tests.training.test_stage import inputs, workshop

__all__ = ["inputs"]
OFTEN = EvaluationConfig(every_steps=5, at_steps=(3, 12), tokens_per_domain=64)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluations_change_no_bit_of_a_run(pool: TokenPool, precision: str) -> None:
    plain, watched = (train(small_spec(precision=precision, evaluations=each), pool) for each in (None, OFTEN))
    assert digest(plain) == digest(watched)
    assert (plain.losses, plain.ledger, plain.evaluations) == (watched.losses, watched.ledger, ())
    assert [step for step, _ in watched.evaluations] == [3, 5, 10, 12]
    own = bits_per_byte(watched.model, pool, "search", 64)
    assert watched.evaluations[-1] == (12, tuple(own[name] for name in pool.names))


def test_a_killed_run_keeps_the_evaluations_it_had(pool: TokenPool, tmp_path: Path) -> None:
    specs = [small_spec(seed=seed, evaluations=OFTEN) for seed in range(2)]
    folders = [tmp_path / "0", tmp_path / "1"]
    with pytest.raises(KilledError):
        train_stacked(specs, pool, checkpoints=folders, on_step=kill_at(11))
    for spec, resumed in zip(specs, train_stacked(specs, pool, checkpoints=folders), strict=True):
        assert getattr(resumed, "evaluations", None) == train(spec, pool).evaluations


def test_evaluations_are_published_with_the_run_and_told_beforehand(inputs: dict[str, Path], tmp_path: Path) -> None:
    place = workshop(tmp_path)
    asked = TrainParams(training=small_training(evaluations=OFTEN), num_seeds=1, mixtures=("natural",))
    run(asked, inputs=inputs, output=tmp_path / "train", workshop=place)
    found = read_evaluations(tmp_path / "train/models/natural-seed0")
    assert [(row.step, row.domain) for row in found][:4] == [(3, "alpha"), (3, "beta"), (3, "gamma"), (5, "alpha")]
    assert len(found) == 12
    (report,) = place.observer.units
    told = [EvaluationRow(step, "beta", value) for step, value in report.curves["bits_per_byte/beta"]]
    assert told == [row for row in found if row.domain == "beta"]
    assert place.observer.said == [
        "each run is evaluated 4 times on 192 held-out tokens: about 33.3% more arithmetic than its training"
    ]


def test_an_evaluation_that_would_never_come_is_refused() -> None:
    values = small_training().model_dump()
    with pytest.raises(ConfigError, match="evaluations name no step"):
        validate(TrainingConfig, values | {"evaluations": {}}, "here")
    with pytest.raises(ConfigError, match=r"at_steps names step 13, and the run has 12"):
        validate(TrainingConfig, values | {"evaluations": {"at_steps": [13]}}, "here")
    with pytest.raises(ConfigError, match=r"evaluations\.every_steps 13 is beyond the end of a run of 12 steps"):
        validate(TrainingConfig, values | {"evaluations": {"every_steps": 13}}, "here")
    with pytest.raises(ConfigError, match="milestone_every_steps 24 is beyond the end of a run of 12 steps"):
        validate(TrainingConfig, values | {"milestone_every_steps": 24}, "here")
    assert OFTEN.within(6) == EvaluationConfig(every_steps=5, at_steps=(3,), tokens_per_domain=64)
    assert OFTEN.within(2) is None
    assert "evaluated 2 times on 30 held-out" in evaluation_words(
        small_training(evaluations=EvaluationConfig(every_steps=6, tokens_per_domain=20)), [10, 400]
    )
    one_window_at_least = small_training(evaluations=EvaluationConfig(every_steps=6, tokens_per_domain=1))
    assert "on 26 held-out" in evaluation_words(one_window_at_least, [10, 400])
