"""A run: deterministic, resumed to the same bits, accounted for, and stopped when it diverges."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.core.errors import AccountError, ConfigError, DataError
from tasks.tokenize.pool import TokenPool
from tasks.training.checkpoint import KEEP
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.ledger import check_planned, ledger_rows, rebuilt_ledger
from tasks.training.run import RunResult, train
from tasks.training.types import DivergedError, Phase, RunSpec
from tests.training.conftest import LENGTH, small_spec, small_training


def digest(run: RunResult) -> str:
    state = hashlib.sha256()
    for name, weight in run.model.weights.items():
        state.update(name.encode() + weight.detach().numpy().tobytes())
    return state.hexdigest()


class KilledError(Exception):
    """What a test throws into a run, where a kill would end it."""


def kill_at(step: int):  # type: ignore[no-untyped-def]
    def on_step(done: int, loss: float) -> None:
        if done == step:
            raise KilledError

    return on_step


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_spec_gives_the_same_bits_and_learns(pool: TokenPool, precision: str) -> None:
    spec = small_spec(precision=precision, num_tokens=60 * 4 * LENGTH)
    one, same, other = train(spec, pool), train(spec, pool), train(replace(spec, seed=1), pool)
    assert digest(one) == digest(same) != digest(other)
    assert one.losses == same.losses
    assert np.mean(one.losses[-10:]) < np.mean(one.losses[:5]) - 0.5


def test_bfloat16_learns_as_float32_does(pool: TokenPool) -> None:
    exact, rounded = (
        train(small_spec(precision=name, num_tokens=60 * 4 * LENGTH), pool) for name in ("float32", "bfloat16")
    )
    assert exact.losses != rounded.losses
    assert np.mean(exact.losses[-10:]) == pytest.approx(np.mean(rounded.losses[-10:]), rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("killed_at", [2, 3, 7, 11])
def test_a_killed_run_resumes_with_the_same_bytes(
    pool: TokenPool, tmp_path: Path, killed_at: int, precision: str
) -> None:
    spec, folder = small_spec(precision=precision), tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=folder, on_step=kill_at(killed_at))
    made: list[int] = []
    resumed = train(spec, pool, checkpoints=folder, on_step=lambda done, loss: made.append(done))
    # The step that was killed had not been saved yet.
    assert made[0] == (killed_at - 1) // 3 * 3 + 1
    whole = train(spec, pool)
    assert digest(resumed) == digest(whole)
    assert resumed.losses == whole.losses
    assert resumed.ledger == whole.ledger


@pytest.mark.parametrize("damage", ["state", "record", "losses", "missing"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(pool: TokenPool, tmp_path: Path, damage: str) -> None:
    spec, folder = small_spec(), tmp_path / "checkpoints"
    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=folder, on_step=kill_at(8))
    newest = sorted(folder.glob("step-*"))[-1]
    if damage == "state":
        content = bytearray((newest / "state.safetensors").read_bytes())
        content[-5] ^= 1
        (newest / "state.safetensors").write_bytes(bytes(content))
    elif damage == "record":
        (newest / "checkpoint.json").write_text("{", encoding="utf-8")
    elif damage == "losses":
        text = (newest / "checkpoint.json").read_text(encoding="utf-8")
        place = text.index('"losses": [') + len('"losses": [')
        changed = str((int(text[place]) + 1) % 10)
        (newest / "checkpoint.json").write_text(text[:place] + changed + text[place + 1 :], encoding="utf-8")
    else:
        (newest / "state.safetensors").unlink()
    made: list[int] = []
    resumed = train(spec, pool, checkpoints=folder, on_step=lambda done, loss: made.append(done))
    assert made[0] == 4
    assert digest(resumed) == digest(train(spec, pool))
    assert resumed.losses == train(spec, pool).losses


def test_an_attempt_that_was_cut_off_is_no_checkpoint(pool: TokenPool, tmp_path: Path) -> None:
    spec, folder = small_spec(), tmp_path / "checkpoints"
    (folder / ".attempt-0").mkdir(parents=True)
    (folder / ".attempt-0" / "state.safetensors").write_bytes(b"half")
    assert digest(train(spec, pool, checkpoints=folder)) == digest(train(spec, pool))


def test_only_the_last_checkpoints_are_kept(pool: TokenPool, tmp_path: Path) -> None:
    train(small_spec(), pool, checkpoints=tmp_path / "checkpoints")
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step-000000009", "step-000000012"]
    assert KEEP == 2


def test_checkpoints_of_another_run_are_refused(pool: TokenPool, tmp_path: Path) -> None:
    train(small_spec(), pool, checkpoints=tmp_path / "checkpoints")
    with pytest.raises(DataError, match="a checkpoint of another run"):
        train(small_spec(learning_rate=2e-2), pool, checkpoints=tmp_path / "checkpoints")


def test_checkpoints_change_no_result(pool: TokenPool, tmp_path: Path) -> None:
    assert digest(train(small_spec(), pool, checkpoints=tmp_path)) == digest(
        train(small_spec(checkpoint_every_steps=None), pool)
    )


def test_the_number_of_threads_changes_no_result_and_is_put_back(pool: TokenPool) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = digest(train(small_spec(), pool))
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
        torch.set_num_threads(1)
        assert digest(train(small_spec(), pool)) == two
    finally:
        torch.set_num_threads(before)


def test_more_micro_batches_give_the_same_gradient_up_to_rounding(pool: TokenPool) -> None:
    one, four = (train(small_spec(precision="float32", micro_batches=parts), pool).losses for parts in (1, 4))
    assert one == pytest.approx(four, abs=1e-4)


def test_a_loss_that_is_not_finite_is_refused_with_its_step(pool: TokenPool) -> None:
    spec = small_spec(learning_rate=1e9, gradient_clip=None, precision="float32", warmup_steps=0)
    with pytest.raises(DivergedError, match=r"step \d+ of 12: the loss is .*Lower learning_rate"):
        train(spec, pool)


def test_the_gradient_is_clipped(pool: TokenPool) -> None:
    clipped, free = (train(small_spec(gradient_clip=clip), pool) for clip in (1e-3, None))
    # AdamW does not see the gradient's scale, but epsilon does: with a tiny clip the first step is another.
    assert digest(clipped) != digest(free)


def test_the_ledger_that_was_consumed_is_the_one_the_recipe_promised(pool: TokenPool) -> None:
    training = small_training()
    phases = (Phase(7 * LENGTH, (1.0, 0.0, 0.0)), Phase(41 * LENGTH, (0.0, 0.75, 0.25)))
    spec = RunSpec("two phases", phases, 0, training)
    run, data = train(spec, pool), run_data(spec, pool)
    assert run.ledger == rebuilt_ledger(data)
    assert run.ledger.totals == (7, 31, 10)
    rows = tuple(ledger_rows(run.ledger, data))
    assert [(row.first_step, row.last_step, row.domain, row.samples) for row in rows] == [
        (0, 9, "alpha", 7),
        (0, 9, "beta", 25),
        (0, 9, "gamma", 8),
        (10, 11, "beta", 6),
        (10, 11, "gamma", 2),
    ]
    assert (rows[0].tokens, rows[0].epochs) == (112, round(7 / 249, 6))
    assert sum(row.tokens for row in rows) == training.num_tokens
    samples, length = data.parts[0].order.samples(0, 48), np.arange(LENGTH)
    targets = [pool.domains[0].splits["train"].tokens[row * LENGTH + 1 + length] for row in samples.rows[:7]]
    assert rows[0].bytes == int(pool.token_bytes[np.stack(targets)].sum())
    # Documents have 50 tokens.
    first, last = samples.rows[0] * LENGTH + 1, samples.rows[6] * LENGTH + LENGTH
    assert (rows[0].first_document, rows[0].last_document) == (first // 50, last // 50)


def test_a_ledger_with_one_sample_moved_is_refused(pool: TokenPool) -> None:
    spec = small_spec()
    data = run_data(spec, pool)
    ledger = rebuilt_ledger(data)
    check_planned(data, ledger, "run")
    first, *others = (list(block) for block in ledger.samples)
    first[0], first[1] = first[0] - 1, first[1] + 1
    moved = replace(ledger, samples=tuple(tuple(block) for block in (first, *others)))
    with pytest.raises(AccountError, match=r"in 1 of 2 blocks of 10 steps; first: block 0"):
        check_planned(data, moved, "run")


def test_an_option_of_the_data_that_is_off_gives_the_same_bits(pool: TokenPool) -> None:
    spec = small_spec()
    off = replace(spec, training=spec.training.model_copy(update={"data": DataConfig()}))
    assert digest(train(spec, pool)) == digest(train(off, pool))


def test_packed_and_isolated_documents_are_trained_on_and_resumed(pool: TokenPool, tmp_path: Path) -> None:
    data = DataConfig(packing="best_fit", document_mask=True)
    spec = small_spec(num_tokens=20 * 4 * LENGTH, data=data)
    whole, alone = (
        train(spec, pool),
        train(replace(spec, training=spec.training.model_copy(update={"data": None})), pool),
    )
    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path, on_step=kill_at(7))
    resumed = train(spec, pool, checkpoints=tmp_path)
    assert digest(whole) == digest(resumed) != digest(alone)
    assert resumed.ledger == rebuilt_ledger(run_data(spec, pool))
    assert whole.losses[0] == pytest.approx(alone.losses[0], abs=0.3) and whole.losses[-1] < whole.losses[0]


def test_caps_are_checked_before_the_first_step(pool: TokenPool) -> None:
    spec = replace(small_spec((0.0, 0.0, 1.0)), max_epochs=1.0)
    with pytest.raises(ConfigError, match="gamma, 48 samples asked of 37"):
        train(spec, pool, on_step=kill_at(1))


def test_a_recipe_of_another_length_than_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="phases have 160 tokens"):
        RunSpec("short", (Phase(160, (1.0,)),), 0, small_training())
