"""SIGKILL in the middle of stages, then the same command again: nothing is lost, nothing finished is done twice."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from tasks.stages import NAMES
from tests.fixtures_pipeline import Checkout

# One stage for each kind of step: groups of units, units that several workers share. What keeps blocks is killed in
# tests/chaos/test_kill_curate.py, single units in tests/runtime/test_step.py.
ONE_OF_EACH_KIND = ("search", "train")
# Stages of many units are killed when one of them is finished, the others while their unit is under way.
MANY_UNITS = {"ingest", "curate", "tokenize", "search", "train"}


def _finished_units(home: Path, stage: str = "") -> dict[Path, int]:
    """When each unit was finished; one that was killed with its record written, before it got its name, was not."""
    found = home.glob(f"store/{stage}*/*/*/record.json")
    return {path: path.stat().st_mtime_ns for path in found if not path.parent.name.startswith(".attempt-")}


def _wait_until(process: "subprocess.Popen[str]", condition: Any) -> None:
    while not condition():
        assert process.poll() is None, f"the run ended before it could be killed:\n{process.communicate()[1]}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("stages", "missed"),
    [pytest.param(ONE_OF_EACH_KIND, 0, id="kinds"), pytest.param(NAMES, 3, id="all", marks=pytest.mark.slow)],
)
def test_a_run_killed_in_stages_ends_on_local_workers_with_the_digests_of_one_on_ray_that_was_not(
    tmp_path: Path,
    live_servers: Settings,
    checkout: Checkout,
    pipeline_run: dict[str, Any],
    stages: tuple[str, ...],
    missed: int,
) -> None:
    """Of all stages so many may be too fast on this text to be killed within; the run is killed all the same.

    It has one worker and two by turns: neither kills nor workers change a digest.
    """
    other = Checkout(checkout.root, tmp_path / "home", live_servers, checkout.text, checkout.params)
    given = ("run", "--name", "tiny", "--input", str(other.text), "--params", str(other.params))
    units: dict[Path, int] = {}
    too_fast: set[str] = set()
    for number, stage in enumerate(stages):
        process = other.start(*given, MIXWRIGHT_WORKERS=str(1 + number % 2))
        before = sorted(units)

        def under_way(stage: str = stage, before: list[Path] = before) -> bool:
            if list(other.home.glob(f"workspaces/*/data/{stage}/manifest.json")):
                too_fast.add(stage)
                return True
            if stage not in MANY_UNITS:
                return bool(list(other.home.glob(f"store/{stage}*/*/.attempt-*")))
            return any(path not in before for path in _finished_units(other.home, stage))

        _wait_until(process, under_way)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        found = _finished_units(other.home)
        assert all(found[path] == made for path, made in units.items()), "a finished unit was made again"
        units = found
    assert len(too_fast) <= missed, f"too fast to kill: {too_fast}"
    outcome = other.run_pipeline(MIXWRIGHT_WORKERS="1")
    assert outcome["digests"] == pipeline_run["digests"]
    found = _finished_units(other.home)
    assert all(found[path] == made for path, made in units.items()), "a finished unit was made again"
    assert not list(other.home.glob("workspaces/*/data/.attempt-*"))
