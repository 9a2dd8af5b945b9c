"""SIGKILL under Ray Train: of a worker, and of the whole node; the stage ends with the bytes of one never killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.executors import LocalExecutor
from tasks.training.stage import run
from tests.training.conftest import LENGTH
from tests.training.killed_ray import STEPS, kill, long_params
from tests.training.test_stage import inputs, workshop, write_recipe

__all__ = ["inputs"]
KEPT = "store/train.run/*/.blocks-*/step-*"


def start(place: Path, engine: str, project: Path) -> "subprocess.Popen[bytes]":
    with (place / "log").open("ab") as log:
        command = [sys.executable, "-m", "tests.training.killed_ray", str(place), engine]
        return subprocess.Popen(command, cwd=project, stdout=log, stderr=log)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("victim", "engine"),
    [("worker", "sharded"), ("node", "sharded"), ("worker", "stack"), ("node", "stack")],
)
def test_a_stage_killed_under_ray_train_ends_as_if_it_had_not_been(
    inputs: dict[str, Path], tmp_path: Path, project: Path, victim: str, engine: str
) -> None:
    write_recipe(inputs["search"], [0.4, 0.4, 0.2], STEPS * 4 * LENGTH, max_epochs=1000.0)
    driver, deadline = start(tmp_path, engine, project), time.monotonic() + 300
    while not list(tmp_path.glob(KEPT)) and time.monotonic() < deadline:
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.01)
    time.sleep(random.Random(f"{victim} {engine}").uniform(0, 0.3))
    assert driver.poll() is None, "the run was too fast to be killed within"
    kill(driver.pid, victim)
    ended = driver.wait(300)
    # A worker is started again by Ray Train; without a node the driver says so, and is started again.
    assert (ended == 0) == (victim == "worker"), (tmp_path / "log").read_text()
    if ended:
        assert not (tmp_path / "train").exists()
        assert list(tmp_path.glob(KEPT))
        assert start(tmp_path, engine, project).wait(300) == 0, (tmp_path / "log").read_text()
    undisturbed = workshop(tmp_path, LocalExecutor(2), "undisturbed", world_size=2)
    params = long_params(sharded=engine == "sharded")
    whole = run(params, inputs=inputs, output=tmp_path / "whole", workshop=undisturbed)
    assert f"models/natural-seed0/milestones/step-{STEPS:09d}/state.safetensors" in {file.path for file in whole.files}
    assert (tmp_path / "train/manifest.json").read_bytes() == (tmp_path / "whole/manifest.json").read_bytes()
