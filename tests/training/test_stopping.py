"""A run whose time is up: it ends in a checkpoint, publishes nothing, and goes on to the same bytes."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ServiceError
from infra.local_executor import LocalExecutor
from infra.stopping import StopSign
from infra.storage import FolderStore
from tasks.core.errors import StoppedError
from tasks.runtime.command import exit_codes
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import TokenPool
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.stage import run
from tests.in_process import InProcess, Listener
from tests.training.conftest import small_spec
from tests.training.test_run import digest
from tests.training.test_stage import inputs, params, workshop

__all__ = ["inputs"]


@pytest.mark.parametrize("asked_before", [0, 1, 5, 6])
def test_a_run_asked_to_stop_keeps_a_checkpoint_of_its_last_step(
    pool: TokenPool, tmp_path: Path, asked_before: int
) -> None:
    spec, folder, made = small_spec(), tmp_path / "checkpoints", list[int]()
    with pytest.raises(StoppedError, match=f"small: stopped behind step {asked_before} of 12; checkpoints are"):
        train(
            spec,
            pool,
            checkpoints=folder,
            on_step=lambda step, loss: made.append(step),
            asked_to_stop=lambda: len(made) == asked_before,
        )
    assert made == list(range(1, asked_before + 1))
    resumed = train(spec, pool, checkpoints=folder, on_step=lambda step, loss: made.append(step))
    assert made == list(range(1, 13))
    assert digest(resumed) == digest(train(spec, pool))


def test_a_stack_asked_to_stop_keeps_checkpoints_of_all_its_runs(pool: TokenPool, tmp_path: Path) -> None:
    asked, folders, made = [small_spec(seed=seed) for seed in range(2)], [tmp_path / "0", tmp_path / "1"], list[int]()
    with pytest.raises(StoppedError, match="small and 1 more runs: stopped behind step 5 of 12"):
        train_stacked(
            asked,
            pool,
            checkpoints=folders,
            on_step=lambda step, _: made.append(step),
            asked_to_stop=lambda: len(made) == 5,
        )
    train_stacked(asked, pool, checkpoints=folders, on_step=lambda step, _: made.append(step))
    assert made == list(range(1, 13))


def test_a_stage_whose_time_is_up_publishes_nothing_exits_0_and_goes_on_when_called_again(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, asked = workshop(tmp_path), iter(range(99))
    monkeypatch.setattr(StopSign, "__call__", lambda sign: next(asked) == 5)
    with pytest.raises(SystemExit) as ended, exit_codes():
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=late)
    assert ended.value.code == 0
    assert capsys.readouterr().err.startswith(
        "the time limit is over: uniform-seed0: stopped behind step 5 of 12; checkpoints are kept, and the same command goes"
    )
    assert not (tmp_path / "train").exists()
    monkeypatch.undo()
    resumed = run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    whole = run(params(1), inputs=inputs, output=tmp_path / "whole", workshop=workshop(tmp_path, store="other"))
    assert resumed.output == whole.output


@pytest.mark.slow
def test_two_workers_stop_behind_the_same_step(inputs: dict[str, Path], tmp_path: Path) -> None:
    late = Workshop(LocalExecutor(2), FolderStore(tmp_path / "store"), Listener(), 2, time_limit_s=1e-3)
    with pytest.raises(StoppedError, match="searched-seed0: stopped behind step 0 of 12"):
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=late)


def test_a_signal_stops_a_stage_whose_units_can(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = InProcess.map_distributed

    def signalled(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return begun(*args)

    monkeypatch.setattr(InProcess, "map_distributed", signalled)
    with pytest.raises(StoppedError, match=r"^SIGUSR1: uniform-seed0: stopped behind step 0 of 12"):
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    assert not list((tmp_path / "store/stop").iterdir())


def test_a_worker_that_the_signal_ended_before_it_could_heed_it_is_no_failure(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = [signal.SIGUSR1]

    def ended(*_: Any) -> Any:
        for number in signals:
            os.kill(os.getpid(), number)
        raise ServiceError("a worker process was killed")

    monkeypatch.setattr(InProcess, "map_distributed", ended)
    with pytest.raises(StoppedError, match="train: stopped while its workers began"):
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    signals.clear()
    with pytest.raises(ServiceError, match="a worker process was killed"):
        run(params(1), inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
