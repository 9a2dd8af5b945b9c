"""What a run of the pipeline refuses before its first stage."""

from pathlib import Path

import pytest

from flows.config import read_config
from flows.run import start_run
from tasks.core.errors import ConfigError


def test_workers_that_cannot_share_a_training_step_are_refused_before_the_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIXWRIGHT_WORLD_SIZE", "3")
    refused = r"cannot be shared evenly by 3 workers .*Set MIXWRIGHT_WORLD_SIZE to"
    for step in ("pipeline", "train"):
        for settings in ((), ("train.training.parallel=auto",)):
            config = read_config("demo", None, settings)
            with pytest.raises(ConfigError, match=refused), start_run(step, config):
                pytest.fail("nothing is to begin")
    assert not (tmp_path / "home").exists()
