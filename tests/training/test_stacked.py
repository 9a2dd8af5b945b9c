"""A stack of runs: each gets the bits it would get alone, whatever happens to the others."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from infra.executors import PINNED_ENVIRONMENT
from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training import stacked
from tasks.training.data import run_data
from tasks.training.ledger import rebuilt_ledger
from tasks.training.measure import bits_per_byte
from tasks.training.run import RunResult, train
from tasks.training.stacked import train_stacked
from tasks.training.stacked_model import gradient_and_nats
from tasks.training.types import DivergedError, Phase, RunSpec
from tests.training.capped import CAPS
from tests.training.conftest import LENGTH, small_spec, small_training
from tests.training.products import products_of

WEIGHTS = ((0.5, 0.3, 0.2), (0.8, 0.2, 0.0), (0.1, 0.8, 0.1), (1 / 3, 1 / 3, 1 / 3))
# Widths that fill no vector register, one query head per key, one step of several sequences.
ODD: dict[str, object] = {
    "hidden_size": 28,
    "num_heads": 2,
    "num_kv_heads": 2,
    "intermediate_size": 37,
    "micro_batches": 1,
}
# Besides, the second proxy of a stack does not begin on a cache line.
UNEVEN = ODD | {"sequence_length": 5, "sequences_per_step": 3, "num_tokens": 12 * 15}
# Products of 16^3, where torch turns from its own to oneDNN's.
CLIP: dict[str, object] = {"gradient_clip": 0.05, "micro_batches": 4}
MUON: dict[str, object] = {"method": {"kind": "muon"}}
CHANGES: dict[str, dict[str, object]] = {"small": {}, "odd": ODD, "uneven": UNEVEN, "clip": CLIP, "muon": ODD | MUON}


class KilledError(Exception):
    """What a test throws into a stack, where a kill would end it."""


def specs(count: int, **changes: object) -> list[RunSpec]:
    """Runs of different mixtures and seeds."""
    return [small_spec(WEIGHTS[number % 4], number // 2, **changes) for number in range(count)]


def assert_same(one: object, other: object) -> None:
    """Fail unless two runs have the same losses, weights and ledger, bit for bit."""
    assert isinstance(one, RunResult)
    assert isinstance(other, RunResult)
    assert one.losses == other.losses
    assert one.ledger == other.ledger
    assert list(one.model.weights) == list(other.model.weights)
    for name, weight in one.model.weights.items():
        assert weight.shape == other.model.weights[name].shape
        assert torch.equal(weight, other.model.weights[name]), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_stacked_runs_have_the_bits_of_separate_ones(
    pool: TokenPool, precision: str, changes: dict[str, object]
) -> None:
    counts = (3,) if changes else (1, 3, 8)
    asked = specs(max(counts), precision=precision, **changes)
    alone = [train(spec, pool) for spec in asked]
    for count in counts:
        together = train_stacked(asked[:count], pool)
        for one, other in zip(alone[:count], together, strict=True):
            assert_same(one, other)
            assert isinstance(other, RunResult)
            assert bits_per_byte(one.model, pool, "search") == bits_per_byte(other.model, pool, "search")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_stack_asks_for_the_very_products_that_its_runs_ask_for_alone(
    pool: TokenPool, precision: str, changes: dict[str, object]
) -> None:
    two_steps = 2 * small_training(**changes).tokens_per_step
    spec = small_spec(**{**changes, "precision": precision, "num_tokens": two_steps, "warmup_steps": 0})
    alone, together = products_of(lambda: train(spec, pool)), products_of(lambda: train_stacked([spec] * 3, pool))
    assert together == Counter({product: 3 * times for product, times in alone.items()})


def test_stacked_runs_have_the_bits_of_separate_ones_under_every_cap_of_the_instruction_set(project: Path) -> None:
    # One sequence a step: products of 16^3 and below.
    few = CLIP | {"sequences_per_step": 1, "micro_batches": 1, "num_tokens": 12 * LENGTH}
    odd = UNEVEN | {"num_tokens": 4 * 15, "warmup_steps": 1}
    several = [changes | {"precision": name} for changes in (few, odd) for name in ("float32", "bfloat16")]
    command = [sys.executable, "-m", "tests.training.capped", json.dumps(several)]
    environment = PINNED_ENVIRONMENT | {"PYTHONPATH": str(project), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(cap, found) for cap, _, found in told] == [(cap, [None] * len(several)) for cap in CAPS]
    assert told[0][1] != told[-1][1], "the caps were read before they were set"


def test_runs_of_several_phases_and_shares_of_the_rows_are_stacked_too(pool: TokenPool) -> None:
    training = small_training()
    phases = (Phase(7 * LENGTH, (1.0, 0.0, 0.0)), Phase(41 * LENGTH, (0.0, 0.75, 0.25)))
    asked = [RunSpec("two phases", phases, 0, training), replace(small_spec(), row_share=0.1)]
    for spec, run in zip(asked, train_stacked(asked, pool), strict=True):
        assert_same(train(spec, pool), run)


def test_one_seed_gives_the_same_start_and_the_same_documents(pool: TokenPool) -> None:
    one, other, stranger = train_stacked([small_spec(seed=3), small_spec(seed=3), small_spec(seed=4)], pool)
    assert_same(one, other)
    assert isinstance(stranger, RunResult)
    assert one.losses[0] != stranger.losses[0]  # type: ignore[union-attr]


def test_a_run_that_diverges_ends_alone(pool: TokenPool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, calls = specs(4, micro_batches=1), iter(range(99))

    def poisoned(*args: Tensor, **options: bool) -> None:
        gradient_and_nats(*args, **options)  # type: ignore[arg-type]
        if next(calls) == 5:
            args[4][1, 3] = float("nan")

    monkeypatch.setattr(stacked, "gradient_and_nats", poisoned)
    runs = train_stacked(asked, pool)
    assert isinstance(runs[1], DivergedError)
    assert "step 5 of 12: the loss is 3." in str(runs[1])
    assert "norm nan. Lower learning_rate" in str(runs[1])
    for number in (0, 2, 3):
        assert_same(train(asked[number], pool), runs[number])


def test_a_run_diverges_in_a_stack_as_it_does_alone(pool: TokenPool) -> None:
    spec = small_spec(learning_rate=1e9, gradient_clip=None, precision="float32", warmup_steps=0)
    with pytest.raises(DivergedError) as alone:
        train(spec, pool)
    runs = train_stacked([spec, replace(spec, seed=1)], pool)
    assert str(runs[0]) == str(alone.value)
    assert isinstance(runs[1], DivergedError)


def test_stopping_none_changes_no_bit(pool: TokenPool) -> None:
    asked = specs(3)
    for one, other in zip(
        train_stacked(asked, pool), train_stacked(asked, pool, stop=lambda step, losses: [False] * 3), strict=True
    ):
        assert_same(one, other)


def test_a_run_that_is_stopped_keeps_what_it_has_and_the_others_go_on(pool: TokenPool) -> None:
    asked, heard = specs(3), []

    def stop(step: int, losses: Sequence[float | None]) -> list[bool]:
        heard.append([loss is not None for loss in losses])
        return [False, step == 4, False]

    runs = train_stacked(asked, pool, stop=stop)
    whole = train(asked[1], pool)
    stopped = runs[1]
    assert isinstance(stopped, RunResult)
    assert stopped.losses == whole.losses[:4]
    assert stopped.ledger == rebuilt_ledger(run_data(asked[1], pool), 4)
    assert heard == [[True] * 3] * 4 + [[True, False, True]] * 8
    for number in (0, 2):
        assert_same(train(asked[number], pool), runs[number])


def folders(path: Path, count: int) -> list[Path]:
    return [path / str(number) for number in range(count)]


def kill_at(step: int):  # type: ignore[no-untyped-def]
    def on_step(done: int, losses: Sequence[float | None]) -> None:
        if done == step:
            raise KilledError

    return on_step


@pytest.mark.parametrize(("killed_at", "goes_on_behind"), [(2, 0), (5, 4), (12, 8)])
def test_a_killed_stack_loses_at_most_one_runs_work(
    pool: TokenPool, tmp_path: Path, killed_at: int, goes_on_behind: int
) -> None:
    asked, made = specs(3, checkpoint_every_steps=None), []
    with pytest.raises(KilledError):
        train_stacked(asked, pool, checkpoints=folders(tmp_path, 3), on_step=kill_at(killed_at))
    runs = train_stacked(asked, pool, checkpoints=folders(tmp_path, 3), on_step=lambda step, losses: made.append(step))
    assert made[0] == goes_on_behind + 1
    assert (killed_at - goes_on_behind - 1) * 3 <= asked[0].training.num_steps
    for spec, run in zip(asked, runs, strict=True):
        assert_same(train(spec, pool), run)


def test_killed_runs_go_on_in_other_stacks_and_alone(pool: TokenPool, tmp_path: Path) -> None:
    asked, places, made = specs(4), folders(tmp_path, 4), []
    for some in ([0, 1], [2, 3]):
        with pytest.raises(KilledError):
            train_stacked(
                [asked[number] for number in some],
                pool,
                checkpoints=[places[number] for number in some],
                on_step=kill_at(5 if 0 in some else 11),
            )
    assert_same(train(asked[3], pool), train(asked[3], pool, checkpoints=places[3]))
    runs = train_stacked(asked[:3], pool, checkpoints=places[:3], on_step=lambda step, losses: made.append(step))
    # Two begin behind step 3, where their stack was; the third behind step 9.
    assert made == [*range(4, 13), *range(10, 13)]
    for spec, run in zip(asked, runs, strict=False):
        assert_same(train(spec, pool), run)


def test_a_killed_stack_goes_on_with_the_state_of_another_optimizer(pool: TokenPool, tmp_path: Path) -> None:
    asked = specs(2, precision="float32", num_tokens=6 * 4 * LENGTH, **MUON)
    with pytest.raises(KilledError):
        train_stacked(asked, pool, checkpoints=folders(tmp_path, 2), on_step=kill_at(4))
    runs = train_stacked(asked, pool, checkpoints=folders(tmp_path, 2))
    for spec, run in zip(asked, runs, strict=True):
        assert_same(train(spec, pool), run)


def test_a_stack_half_of_whose_checkpoints_were_written_begins_together(pool: TokenPool, tmp_path: Path) -> None:
    asked, places, made = specs(2), folders(tmp_path, 2), []
    with pytest.raises(KilledError):
        train_stacked(asked, pool, checkpoints=places, on_step=kill_at(8))
    newest = sorted(places[1].glob("step-*"))[-1]
    (newest / "state.safetensors").unlink()
    train_stacked(asked, pool, checkpoints=places, on_step=lambda step, losses: made.append(step))
    assert made == list(range(4, 13))


def test_runs_of_different_configs_are_not_stacked(pool: TokenPool) -> None:
    with pytest.raises(ConfigError, match="2 runs with different training configs"):
        train_stacked([small_spec(), small_spec(learning_rate=1e-3)], pool)


def test_a_spec_that_does_not_fit_the_pool_is_refused_before_the_first_step(pool: TokenPool) -> None:
    asked = [small_spec(), replace(small_spec((0.0, 0.0, 1.0)), max_epochs=1.0)]
    with pytest.raises(ConfigError, match="gamma, 48 samples asked of 37"):
        train_stacked(asked, pool, on_step=kill_at(1))


@pytest.mark.parametrize("changes", [{}, CLIP, {"gradient_clip": None}, MUON], ids=["usual", "clip", "no clip", "muon"])
def test_what_a_gpu_does_at_once_is_what_the_cpu_does_one_by_one(
    pool: TokenPool, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    asked = specs(3, precision="float32", num_tokens=20 * 4 * LENGTH, **changes)
    exact, heard = train_stacked(asked, pool), []
    monkeypatch.setattr(stacked.Stack, "on_cpu", False)
    at_once = train_stacked(asked, pool, on_step=lambda step, losses: heard.append(step))
    assert heard == [16, 20]
    for one, other in zip(exact, at_once, strict=True):
        assert isinstance(one, RunResult)
        assert isinstance(other, RunResult)
        assert one.losses == pytest.approx(other.losses, rel=1e-4)
        assert one.ledger == other.ledger


def test_a_run_that_diverges_between_two_looks_of_the_host_harms_nobody(
    pool: TokenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacked.Stack, "on_cpu", False)
    asked, calls = specs(3, micro_batches=1, precision="float32"), iter(range(99))
    exact = train_stacked(asked, pool)

    def poisoned(*args: Tensor, **options: bool) -> None:
        gradient_and_nats(*args, **options)  # type: ignore[arg-type]
        if next(calls) == 5:
            args[4][1] = float("inf")

    monkeypatch.setattr(stacked, "gradient_and_nats", poisoned)
    runs = train_stacked(asked, pool)
    assert str(runs[1]).startswith("step 5 of 12: the loss is inf")
    for number in (0, 2):
        assert_same(exact[number], runs[number])
    assert np.isfinite(runs[0].losses).all()  # type: ignore[union-attr]
