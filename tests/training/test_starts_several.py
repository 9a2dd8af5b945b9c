"""Runs that begin with another's weights and optimizer: by two processes, and killed on their way."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.distributed import GroupMember
from infra.local_executor import LocalExecutor
from tasks.tokenize.pool import TokenPool, read_pool, write_pool
from tasks.training.checkpoint import read
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.run import train
from tasks.training.schedules.wsd import Wsd
from tasks.training.types import RunSpec, World
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec
from tests.training.test_parallel import told

KINDS = {"ddp": {"parallel": Ddp()}, "fsdp": {"parallel": Fsdp()}, "muon": {"parallel": Fsdp(), "method": Muon()}}


def made_pool(folder: Path) -> TokenPool:
    """Write a pool whose samples are all alike, so that a new data order takes the same ones."""
    tokens = {split: np.arange(4000) % (LENGTH // 2) for split in ("train", "search")}
    return write_pool(folder, {"alike": tokens}, vocab_size=VOCAB_SIZE, document_end=VOCAB_SIZE - 1)


def whole_spec(**changes: object) -> RunSpec:
    """A run of 12 steps at one rate, with a milestone in its middle."""
    steady = {"warmup_steps": 0, "schedule": Wsd(decay_fraction=0.0), "milestone_every_steps": 6}
    return small_spec((1.0,), **steady, **changes)


def rest_spec(**changes: object) -> RunSpec:
    """The six steps behind its milestone, as a run that begins with the optimizer's state."""
    return replace(whole_spec(num_tokens=6 * 4 * LENGTH, **changes), optimizer_steps=6)


def by_two(folder: Path, member: GroupMember) -> None:
    """Make whole runs and those that begin at their milestones; the first process tells what came out."""
    pool, world, found = read_pool(folder / "pool"), World(member.size, member.rank, member.group), {}
    for name, changes in KINDS.items():
        kept = folder / name
        whole = train(whole_spec(**changes), pool, world=world, checkpoints=None if world.rank else kept)
        # The checkpoint behind it waited for the milestone, and all processes for that.
        state, _ = read(kept, 6)
        rest = train(rest_spec(**changes), pool, world=world, initial=state)
        if world.rank == 0:
            found[name] = {"whole": told(whole), "rest": told(rest)}
    if world.rank == 0:
        (folder / "told.json").write_text(json.dumps(found))


@pytest.mark.slow
def test_two_processes_go_on_with_weights_and_optimizer_as_the_run_that_made_them(tmp_path: Path) -> None:
    made_pool(tmp_path / "pool")
    list(LocalExecutor(2).map_distributed(by_two, [tmp_path], 2, tmp_path))
    found = json.loads((tmp_path / "told.json").read_text())
    assert [*found] == [*KINDS]
    for name, runs in found.items():
        assert runs["rest"]["losses"] == runs["whole"]["losses"][6:], name
        assert runs["rest"]["weights"] == runs["whole"]["weights"], name
        assert len(runs["rest"]["losses"]) == 6


def killed(folder: Path, name: str) -> None:
    """Go on from the milestone, and die behind the fourth step."""

    def on_step(step: int, _: object) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    state, _ = read(folder / name, 6)
    spec = rest_spec(checkpoint_every_steps=1, **ENGINES[name])
    train(spec, read_pool(folder / "pool"), checkpoints=folder / f"{name}-rest", initial=state, on_step=on_step)


ENGINES: dict[str, dict[str, object]] = {"stack": {}, "one model": {"parallel": Ddp()}}


@pytest.mark.slow
def test_a_run_that_began_with_anothers_optimizer_is_killed_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    pool = made_pool(tmp_path / "pool")
    for name, changes in ENGINES.items():
        whole = train(whole_spec(**changes), pool, checkpoints=tmp_path / name)
        process = multiprocessing.get_context("spawn").Process(target=killed, args=(tmp_path, name))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        kept = sorted(path.name for path in (tmp_path / f"{name}-rest").glob("step-*"))
        assert kept and kept[-1] < "step-000000005"
        spec, made = rest_spec(checkpoint_every_steps=1, **changes), list[int]()
        state, _ = read(tmp_path / name, 6)
        where = tmp_path / f"{name}-rest"
        rest = train(spec, pool, checkpoints=where, initial=state, on_step=lambda step, _, made=made: made.append(step))  # type: ignore[misc]
        assert min(made) > 1
        assert told(rest)["weights"] == told(whole)["weights"] and rest.losses == whole.losses[6:]
