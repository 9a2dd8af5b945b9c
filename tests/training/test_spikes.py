"""Steps whose loss or gradient stands out are left out, alike in every run that saw the same."""

from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from torch import Tensor

from tasks.tokenize.pool import TokenPool
from tasks.training import stacked
from tasks.training.result import RunResult
from tasks.training.run import train
from tasks.training.spikes import SkipSpikes, is_spike, skipped_steps
from tasks.training.stacked import train_stacked
from tasks.training.stacked_model import gradient_and_nats
from tests.training.conftest import LENGTH, small_spec

SKIP = {"window_steps": 8, "standard_deviations": 6.0}
QUIET = [3.0, 3.1, 2.9, 3.05, 2.95, 3.0, 3.1, 2.9]


def test_a_step_stands_out_above_so_many_standard_deviations_of_those_before() -> None:
    config = SkipSpikes(window_steps=8)
    limit = mean(QUIET) + 6 * stdev(QUIET)
    # Torch's std_mean, as OLMo-core takes it.
    spread, middle = torch.std_mean(torch.tensor(QUIET, dtype=torch.float64))
    assert limit == pytest.approx(float(middle + 6 * spread))
    for last, spike in ((limit - 1e-6, False), (limit + 1e-6, True), (0.0, False)):
        assert is_spike(config, [*QUIET, last], [1.0] * 9) is spike
        assert is_spike(config, [1.0] * 9, [*QUIET, last]) is spike


def test_nothing_stands_out_before_half_a_window_is_there_and_only_the_window_counts() -> None:
    config = SkipSpikes(window_steps=8)
    assert not is_spike(config, [1.0, 1.0, 99.0], [1.0] * 3)
    assert is_spike(config, [1.0, 1.0, 1.0, 99.0], [1.0] * 4)
    assert is_spike(config, [500.0, *QUIET, 9.0], [1.0] * 10)
    assert skipped_steps(config, [*QUIET, 9.0, *QUIET], [1.0] * 17) == (8,)
    assert skipped_steps(None, [*QUIET, 9.0], [1.0] * 9) == ()


def _poison(monkeypatch: pytest.MonkeyPatch, step: int, micro_batches: int = 2) -> None:
    """Make the gradient of the second run a thousand times as large in one step."""
    calls = iter(range(999))

    def poisoned(*args: Tensor, **options: bool) -> None:
        gradient_and_nats(*args, **options)  # type: ignore[arg-type]
        if next(calls) // micro_batches == step:
            args[4][-1, : args[0].parameters] *= 1000  # type: ignore[attr-defined]

    monkeypatch.setattr(stacked, "gradient_and_nats", poisoned)


def _run(pool: TokenPool, **given: object) -> tuple[RunResult, ...]:
    """Two runs in one stack; the second is the one that is poisoned."""
    asked = [small_spec(seed=seed, num_tokens=14 * 4 * LENGTH, skip_spikes=SKIP) for seed in (0, 1)]
    return train_stacked(asked, pool, **given)  # type: ignore[arg-type, return-value]


def test_a_run_without_spikes_has_the_bits_that_it_has_without_the_option(pool: TokenPool) -> None:
    on, off = train(small_spec(skip_spikes=SKIP), pool), train(small_spec(), pool)
    assert on.skipped == off.skipped == ()
    assert all(torch.equal(weight, off.model.weights[name]) for name, weight in on.model.weights.items())


def test_a_spike_is_left_out_of_its_own_run_and_is_counted(pool: TokenPool, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = _run(pool)
    _poison(monkeypatch, 10)
    first, second = _run(pool)
    assert first.skipped == ()
    assert second.skipped == (10,)
    # The step is counted, its samples too, and the other run does not feel it.
    assert second.losses[:11] == quiet[1].losses[:11]
    assert second.ledger == quiet[1].ledger
    assert first.losses == quiet[0].losses
    assert second.losses[11:] != quiet[1].losses[11:]


def test_what_a_gpu_leaves_out_is_what_a_cpu_leaves_out(pool: TokenPool, monkeypatch: pytest.MonkeyPatch) -> None:
    _poison(monkeypatch, 10)
    one_by_one = _run(pool)
    monkeypatch.setattr(stacked.Stack, "on_cpu", False)
    _poison(monkeypatch, 10)
    for one, other in zip(one_by_one, _run(pool), strict=True):
        assert one.skipped == other.skipped
        # A step with that gradient, or one without a gradient, would be seen here.
        assert one.losses == pytest.approx(other.losses, rel=1e-4)


def test_a_killed_run_leaves_the_same_steps_out(
    pool: TokenPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poison(monkeypatch, 10)
    whole, folders = _run(pool), [tmp_path / "0", tmp_path / "1"]

    class KilledError(Exception):
        pass

    def kill(step: int, losses: object) -> None:
        if step == 11:
            raise KilledError

    _poison(monkeypatch, 10)
    with pytest.raises(KilledError):
        _run(pool, checkpoints=folders, on_step=kill)
    # It goes on behind step 9: the poisoned step is the second that it makes.
    _poison(monkeypatch, 1)
    again = _run(pool, checkpoints=folders)
    for one, other in zip(whole, again, strict=True):
        assert one.skipped == other.skipped
        assert one.losses == other.losses
        assert all(torch.equal(weight, other.model.weights[name]) for name, weight in one.model.weights.items())
