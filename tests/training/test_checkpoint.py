"""Checkpoints: the same bytes behind the run's back as in its way, kept as asked, and named errors where a disk refuses."""

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tasks.core.digest import digest_file
from tasks.core.errors import DamagedError
from tasks.tokenize.pool import TokenPool
from tasks.training import checkpoint, stacked
from tasks.training.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    Kept,
    is_due,
    kept_by,
    publish_milestones,
    read,
    steps,
    write,
)
from tasks.training.params import TrainParams
from tasks.training.stacked import train_stacked
from tasks.training.stage import run
from tasks.training.tensor_file import read_tensors, write_tensors
from tasks.training.types import CheckpointError, DivergedError
from tests.training.conftest import small_spec, small_training
from tests.training.test_stage import inputs, workshop

__all__ = ["inputs"]


def state(value: float = 0.0) -> dict[str, Tensor]:
    """Tensors of every kind a run has, one of them a view that is not contiguous."""
    grid = torch.arange(6.0).reshape(2, 3) + value
    return {
        "weight": grid.T,
        "half": grid.to(torch.bfloat16),
        "count": torch.tensor(7),
        "mean": torch.zeros(0),
        "exact": grid.double()[0],
    }


def made(folder: Path, step: int, value: float = 0.0) -> Checkpoint:
    return Checkpoint(folder, "own", step, state(value), {"losses": [0.5] * step})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_tensor_file_is_read_by_safetensors_and_by_us_and_its_digest_is_told(tmp_path: Path) -> None:
    told = write_tensors(tmp_path / "file", state())
    for found in (load_file(tmp_path / "file"), read_tensors(tmp_path / "file")):
        assert {*found} == {*state()}
        for name, tensor in state().items():
            assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
            assert torch.equal(found[name], tensor)
    assert told == digest_file(tmp_path / "file")


def test_a_checkpoint_written_behind_the_run_has_the_bytes_of_one_it_waits_for(tmp_path: Path) -> None:
    write(made(tmp_path / "waits", 1), Kept())
    tensors, losses = state(), [0.5]
    with CheckpointWriter(Kept()) as writer:
        writer.save([Checkpoint(tmp_path / "behind", "own", 1, tensors, {"losses": losses})])
        # The run goes on at once.
        for tensor in tensors.values():
            tensor.zero_()
        losses.append(0.25)
    for name in ("state.safetensors", "checkpoint.json"):
        both = [(tmp_path / place / "step-000000001" / name).read_bytes() for place in ("waits", "behind")]
        assert both[0] == both[1]


def test_at_most_one_checkpoint_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, go = [0], [0], threading.Event()

    def slow(one: Checkpoint, kept: Kept) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        go.wait(10)
        write(one, kept)
        running[0] -= 1

    monkeypatch.setattr(checkpoint, "write", slow)
    with CheckpointWriter(Kept()) as writer:
        writer.save([made(tmp_path, 1, 1.0)])
        writer.check()
        threading.Timer(0.05, go.set).start()
        writer.save([made(tmp_path, 2, 2.0)])
        assert "step-000000001" in names(tmp_path)
    assert most == [1]
    assert torch.equal(read(tmp_path, 1)[0]["weight"], state(1.0)["weight"])
    assert torch.equal(read(tmp_path, 2)[0]["weight"], state(2.0)["weight"])


def full_disk(path: Path, tensors: object) -> str:
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_full_disk_stops_the_run_at_its_next_step_and_keeps_the_last_good_checkpoint(
    pool: TokenPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, full, folder = list[int](), threading.Event(), tmp_path / "checkpoints"

    def until_full(path: Path, tensors: dict[str, Tensor]) -> str:
        try:
            return full_disk(path, tensors) if heard[-1] > 3 else write_tensors(path, tensors)
        finally:
            full.set()

    def on_step(step: int, losses: object) -> None:
        heard.append(step)
        if step in {4, 7}:
            assert full.wait(10)
            full.clear()

    monkeypatch.setattr(checkpoint, "write_tensors", until_full)
    words = r"step 6 \(.* MB\) cannot be written: No space left on device. .* step 3 is kept. Free some space"
    with pytest.raises(CheckpointError, match=words):
        train_stacked([small_spec()], pool, checkpoints=[folder], on_step=on_step)
    # The thread is through when the step after next is looked at, at the latest when the next checkpoint is due.
    assert heard[-1] <= 9
    assert names(folder) == ["step-000000003"]
    monkeypatch.undo()
    train_stacked([small_spec()], pool, checkpoints=[folder], on_step=lambda step, losses: heard.append(step))
    assert heard[-9:] == list(range(4, 13))


def test_what_the_disk_refused_at_the_end_is_raised_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "write_tensors", full_disk)
    with pytest.raises(CheckpointError, match="there is none before it"), CheckpointWriter(Kept()) as writer:
        writer.save([made(tmp_path, 1)])
    with pytest.raises(KeyError), CheckpointWriter(Kept()) as writer:
        writer.save([made(tmp_path, 1)])
        raise KeyError("the run's own error")
    assert names(tmp_path) == []


def test_the_last_so_many_and_the_milestones_are_kept(tmp_path: Path) -> None:
    for step in range(1, 9):
        write(made(tmp_path, step), Kept(last=3, milestone_every=4))
    assert [int(name[5:]) for name in names(tmp_path)] == [4, 6, 7, 8]
    assert steps(tmp_path, "own") == [8, 7]
    assert steps(tmp_path, "own", most=9) == [8, 7, 6, 4]
    training = small_training(keep_checkpoints=5, milestone_every_steps=7)
    assert kept_by(training) == Kept(5, 7)
    assert [step for step in range(1, 13) if is_due(training, step, 3)] == [3, 6, 7, 9, 12]
    assert kept_by(small_training()) == Kept(2, None)


def test_damaged_checkpoints_that_were_passed_over_push_out_none_that_is_whole(tmp_path: Path) -> None:
    for step in (6, 9):
        write(made(tmp_path, step), Kept())
        (tmp_path / f"step-00000000{step}" / "state.safetensors").write_bytes(b"damaged")
    write(made(tmp_path, 3), Kept(last=1))
    assert steps(tmp_path, "own") == [3]
    write(made(tmp_path, 9), Kept(last=1))
    assert names(tmp_path) == ["step-000000009"] and steps(tmp_path, "own") == [9]


def test_attempts_that_killed_writers_left_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".attempt-dead").mkdir()
    write(made(tmp_path, 1), Kept())
    assert names(tmp_path) == ["step-000000001"]


def test_milestones_of_a_finished_run_are_its_files_or_their_damage_is_told(tmp_path: Path) -> None:
    scratch, target = tmp_path / "scratch", tmp_path / "run"
    for step in (4, 8, 12):
        write(made(scratch, step), Kept(last=1, milestone_every=4))
    publish_milestones({}, scratch, target)
    assert not target.exists()
    kept = dict.fromkeys((4, 8, 12), scratch)
    publish_milestones(kept, scratch, target)
    assert names(target / "milestones") == ["step-000000004", "step-000000008", "step-000000012"]
    assert torch.equal(read(target / "milestones", 8)[0]["weight"], state()["weight"])
    (scratch / "step-000000008" / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(DamagedError, match=f"kept for good: remove {scratch}"):
        publish_milestones(kept, scratch, tmp_path / "other")


def test_a_run_that_diverges_keeps_its_last_good_checkpoint_and_publishes_nothing(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, sound = iter(range(99)), stacked.gradient_and_nats

    def poisoned(*args: Any, **options: Any) -> None:
        sound(*args, **options)
        # Two micro-batches are a step.
        if next(calls) == 2 * 7:
            args[4][0] = float("nan")

    monkeypatch.setattr(stacked, "gradient_and_nats", poisoned)
    asked = TrainParams(training=small_training(micro_batches=2), num_seeds=1, mixtures=("natural",))
    with pytest.raises(DivergedError, match="step 7 of 12: the loss is nan"):
        run(asked, inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    assert not (tmp_path / "train").exists()
    (kept,) = (tmp_path / "store/train.run").glob("*/.blocks-*")
    assert names(kept) == ["step-000000003", "step-000000006"]
    monkeypatch.undo()
    resumed = run(asked, inputs=inputs, output=tmp_path / "train", workshop=workshop(tmp_path))
    whole = run(asked, inputs=inputs, output=tmp_path / "whole", workshop=workshop(tmp_path, store="other"))
    assert resumed.output == whole.output
