"""SIGKILL under Ray Train: of a worker, of a node, of the driver; the stage ends with the bytes of one never killed.

With fewer workers than before it ends with the same samples, and losses that are close.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.local_executor import LocalExecutor
from tasks.training.published_run import read_losses
from tasks.training.stage import run
from tests.training.conftest import LENGTH
from tests.training.killed_ray import STEPS, kill, long_params
from tests.training.test_stage import inputs, workshop, write_recipe

__all__ = ["inputs"]
KEPT = "store/train.run/*/.blocks-*/step-*"
RUN = "models/natural-seed0"
# Ray starts in seconds on an idle machine, in minutes on a busy one.
LONGEST_S = 900.0


def start(place: Path, project: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    with (place / "log").open("ab") as log:
        command = [sys.executable, "-m", "tests.training.killed_ray", str(place), *arguments]
        return subprocess.Popen(command, cwd=project, stdout=log, stderr=log)


def killed(place: Path, project: Path, victim: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start the stage and kill a part of it a moment after its first checkpoint."""
    driver, deadline = start(place, project, *arguments), time.monotonic() + LONGEST_S
    while not list(place.glob(KEPT)):
        assert driver.poll() is None, (place / "log").read_text()
        assert time.monotonic() < deadline, "no checkpoint was kept"
        time.sleep(0.01)
    time.sleep(random.Random(f"{victim} {arguments[0]}").uniform(0, 0.3))
    assert driver.poll() is None, "the run was too fast to be killed within"
    kill(driver.pid, victim)
    return driver


def undisturbed(place: Path, inputs: dict[str, Path], *, sharded: bool) -> Path:
    """Return what the stage publishes when nobody kills anything."""
    here = workshop(place, LocalExecutor(2), "undisturbed", world_size=2)
    run(long_params(sharded=sharded), inputs=inputs, output=place / "whole", workshop=here)
    return place / "whole"


@pytest.fixture
def long_inputs(inputs: dict[str, Path]) -> dict[str, Path]:
    """A recipe that is long enough to be killed within."""
    write_recipe(inputs["search"], [0.4, 0.4, 0.2], STEPS * 4 * LENGTH, max_epochs=1000.0)
    return inputs


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("victim", "engine"),
    [("worker", "sharded"), ("node", "sharded"), ("driver", "sharded"), ("worker", "stack"), ("node", "stack")],
)
def test_a_stage_killed_under_ray_train_ends_as_if_it_had_not_been(
    long_inputs: dict[str, Path], tmp_path: Path, project: Path, victim: str, engine: str
) -> None:
    driver = killed(tmp_path, project, victim, engine, "2", "2")
    ended = driver.wait(LONGEST_S)
    # A worker is started again by Ray Train; without a node the driver says so; it, or one killed, is started again.
    assert (ended == 0) == (victim == "worker"), (tmp_path / "log").read_text()
    if ended:
        assert not (tmp_path / "train").exists()
        assert list(tmp_path.glob(KEPT))
        assert start(tmp_path, project, engine, "2", "2").wait(LONGEST_S) == 0, (tmp_path / "log").read_text()
    whole = undisturbed(tmp_path, long_inputs, sharded=engine == "sharded")
    # Weights, optimizer state and ledger (the digest of every sample): all of them are files of the manifest.
    assert (whole / RUN / f"milestones/step-{STEPS:09d}/state.safetensors").is_file()
    assert (tmp_path / "train/manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("victim", "first", "second"),
    [("driver", ("2", "2"), ("1", "1")), ("node", ("cluster", "1"), None)],
    ids=["by the same command where there is less room", "by Ray Train when a node is lost"],
)
def test_a_run_goes_on_with_fewer_workers_to_the_same_samples_and_close_losses_and_says_so(
    long_inputs: dict[str, Path],
    tmp_path: Path,
    project: Path,
    victim: str,
    first: Sequence[str],
    second: Sequence[str] | None,
) -> None:
    ended = killed(tmp_path, project, victim, "sharded", *first).wait(LONGEST_S)
    if second is not None:
        ended = start(tmp_path, project, "sharded", *second).wait(LONGEST_S)
    assert ended == 0, (tmp_path / "log").read_text()
    whole = undisturbed(tmp_path, long_inputs, sharded=True)
    (told,) = json.loads((tmp_path / "train/runs.json").read_text())["runs"]
    (_, two), (at, one) = told["workers"]
    assert (two, one) == (2, 1) and 0 < at < STEPS
    assert (tmp_path / "train" / RUN / "ledger.csv").read_bytes() == (whole / RUN / "ledger.csv").read_bytes()
    losses, others = read_losses(tmp_path / "train" / RUN), read_losses(whole / RUN)
    assert losses[:at] == others[:at]
    assert losses[at : at + 50] == pytest.approx(others[at : at + 50], abs=1e-3)
    assert losses[at:] != others[at:]
