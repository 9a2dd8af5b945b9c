"""SIGKILL anywhere within a run, then the same call again: weights, optimizer state and samples of a run never killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from infra.executors import PINNED_ENVIRONMENT
from tasks.training.data import run_data
from tests.training.conftest import LENGTH, make_pool
from tests.training.killed import LONGER, SWITCH, WRAP, Case, Kind, moments, spec_of

EXACT = Kind("float32")


def outcomes(cases: Sequence[Case], project: Path) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "tests.training.killed", json.dumps([asdict(case) for case in cases])]
    done = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, **PINNED_ENVIRONMENT, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_killed_in_a_checkpoint_at_switches_of_mixture_and_length_and_in_an_evaluation_ends_as_if_it_had_not_been(
    project: Path,
) -> None:
    cases = [Case("flush", 7, EXACT), Case("step", SWITCH, Kind("bfloat16")), Case("evaluation", 5, EXACT)]
    cases += [Case("step", LONGER, EXACT)]
    assert outcomes(cases, project) == [{"signal": signal.SIGKILL, "different": []}] * 4


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling layers for a CPU needs a C++ compiler")
def test_twenty_kills_at_random_moments_leave_no_trace(project: Path) -> None:
    cases = moments(20, seed=11)
    assert {case.moment for case in cases} == {"step", "block", "flush", "evaluation", "clock"}
    found = outcomes(cases, project)
    assert [each["different"] for each in found] == [[]] * 20
    # By the clock a run may have been faster than before.
    assert all(
        each["signal"] == signal.SIGKILL for each, case in zip(found, cases, strict=True) if case.moment != "clock"
    )


def test_the_moments_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    spec, pool = spec_of(EXACT), make_pool(tmp_path, metadata=True)
    order = run_data(spec, pool).parts[0].order
    first = spec.phases[0].num_tokens // LENGTH
    assert (SWITCH - 1) * 4 < first < SWITCH * 4
    gamma = order.samples(0, LONGER * 4).domains == 2
    assert [one.first_step for one in spec.segments] == [0, LONGER]
    assert gamma[: (WRAP - 1) * 4].sum() < 37 < gamma[: WRAP * 4].sum()
