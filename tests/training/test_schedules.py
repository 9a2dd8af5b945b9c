"""Schedules: their formulas written out, torch's where it has them, and what is refused."""

import warnings
from math import cos, exp, log, pi, sqrt
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.training.config import TrainingConfig
from tasks.training.schedules.rates import learning_rate, warmup_steps
from tests.training.conftest import LENGTH, small_training

KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "wsd", "decay_fraction": 0.3},
    {"kind": "wsd", "decay_fraction": 0.3, "decay_shape": "1-sqrt", "final_fraction": 0.1},
    {"kind": "cosine"},
    {"kind": "power", "amplitude": 1.0, "exponent": -0.5},
    {"kind": "power_steps"},
    {"kind": "infinite", "cooldown_steps": 3, "anneal_steps": 2},
    {"kind": "infinite", "cooldown": "inverse_sqrt", "cooldown_steps": 3},
    {"kind": "inverse_sqrt"},
)


def run_of(num_steps: int, warmup: int | None = 0, **optimizer: Any) -> TrainingConfig:
    """A run of some steps of four samples, with a peak of 1 unless it is told."""
    given = {"learning_rate": 1.0, "warmup_steps": warmup, **optimizer}
    return small_training(num_tokens=num_steps * 4 * LENGTH, **given)


def rates(training: TrainingConfig) -> list[float]:
    """The rate of every step."""
    return [learning_rate(training, step) for step in range(training.num_steps)]


def as_it_was(training: TrainingConfig, decay_fraction: float, step: int) -> float:
    """The arithmetic that runs had when there was one schedule."""
    num_steps, peak = training.num_steps, training.optimizer.learning_rate
    given, decay_steps = training.optimizer.warmup_steps, round(decay_fraction * num_steps)
    warmup = min(10, num_steps // 10, int(num_steps * (1 - decay_fraction))) if given is None else given
    rising = (step + 1) / warmup if step < warmup else 1.0
    falling = (num_steps - step) / (decay_steps + 1) if step >= num_steps - decay_steps else 1.0
    return peak * min(rising, falling)


@pytest.mark.parametrize("warmup", [None, 0, 7])
@pytest.mark.parametrize("decay_fraction", [None, 0.0, 0.25, 0.9])
def test_the_usual_schedule_has_the_bits_it_always_had(warmup: int | None, decay_fraction: float | None) -> None:
    chosen = {} if decay_fraction is None else {"schedule": {"kind": "wsd", "decay_fraction": decay_fraction}}
    training = run_of(120, warmup, learning_rate=7e-3, **chosen)
    asked = 0.4 if decay_fraction is None else decay_fraction
    assert rates(training) == [as_it_was(training, asked, step) for step in range(120)]


def test_the_rate_rises_stays_and_falls() -> None:
    training = run_of(10, 4, schedule={"kind": "wsd", "decay_fraction": 0.3})
    assert rates(training) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_without_warm_up_and_decay_the_rate_is_constant() -> None:
    assert set(rates(run_of(5, schedule={"kind": "wsd", "decay_fraction": 0.0}, learning_rate=0.1))) == {0.1}


def test_a_decay_by_the_square_root_falls_faster_at_first() -> None:
    training = run_of(8, schedule={"kind": "wsd", "decay_fraction": 0.375, "decay_shape": "1-sqrt"})
    assert rates(training)[4:] == pytest.approx([1, 1 - sqrt(1 / 4), 1 - sqrt(2 / 4), 1 - sqrt(3 / 4)])


def test_a_decay_ends_above_zero_where_that_is_asked() -> None:
    training = run_of(4, schedule={"kind": "wsd", "decay_fraction": 0.75, "final_fraction": 0.2})
    assert rates(training) == pytest.approx([1, 0.8, 0.6, 0.4])


def _torchs(scheduler: Any, num_steps: int, **options: Any) -> list[float]:
    """What a scheduler of torch gives a peak of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made, found = scheduler(optimizer, **options), []
    with warnings.catch_warnings():
        # Torch says that an optimizer's step should come before the scheduler's; there is nothing to optimise here.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(num_steps):
            found.append(optimizer.param_groups[0]["lr"])
            made.step()
    return found


def test_a_cosine_is_torchs() -> None:
    theirs = _torchs(torch.optim.lr_scheduler.CosineAnnealingLR, 20, T_max=20, eta_min=0.1)
    assert rates(run_of(20, schedule={"kind": "cosine"})) == pytest.approx(theirs)
    # Behind a warm-up it begins anew.
    assert rates(run_of(25, 5, schedule={"kind": "cosine"}))[5:] == pytest.approx(theirs)


def test_a_linear_decay_is_torchs() -> None:
    theirs = _torchs(torch.optim.lr_scheduler.PolynomialLR, 10, total_iters=10, power=1.0)
    assert rates(run_of(9, schedule={"kind": "wsd", "decay_fraction": 1.0})) == pytest.approx(theirs[1:])


def test_the_inverse_square_root_is_that_of_the_transformer() -> None:
    # arXiv 1706.03762: min(1 / sqrt(step), step / warm-up^1.5), scaled to a peak of 1.
    theirs = [sqrt(9) * min(step**-0.5, step * 9**-1.5) for step in range(1, 41)]
    assert rates(run_of(40, 9, schedule={"kind": "inverse_sqrt"})) == pytest.approx(theirs)
    slow = rates(run_of(4, 0, schedule={"kind": "inverse_sqrt", "timescale_steps": 3}))
    assert slow == pytest.approx([sqrt(3 / 4), sqrt(3 / 5), sqrt(3 / 6), sqrt(3 / 7)])


def test_the_power_law_counts_tokens_and_sequences() -> None:
    # 4 sequences of 16 tokens a step: B a n^b = 4 x 2 / sqrt(64 (step + 1)) = 1 / sqrt(step + 1).
    power = {"kind": "power", "amplitude": 2.0, "exponent": -0.5, "decay_fraction": 0.0}
    assert rates(run_of(5, schedule=power)) == pytest.approx([1 / sqrt(step) for step in range(1, 6)])
    capped = run_of(5, schedule=power, learning_rate=0.6)
    assert rates(capped) == pytest.approx([0.6, 0.6, 1 / sqrt(3), 1 / 2, 1 / sqrt(5)])
    # As published: a = 4.6, b = -0.51, a decay over the last tenth.
    published = run_of(100, schedule={"kind": "power"}, learning_rate=0.02)
    assert rates(published)[0] == 0.02
    late = run_of(10_000, schedule={"kind": "power"}, learning_rate=10.0)
    assert learning_rate(late, 999) == pytest.approx(4 * 4.6 * 64_000**-0.51)


def test_the_power_law_of_olmo_core_begins_with_the_warm_up() -> None:
    found = rates(run_of(20, 4, schedule={"kind": "power_steps", "exponent": -0.5, "decay_fraction": 0.2}))
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found[4:16] == pytest.approx([sqrt(4 / step) for step in range(5, 17)])
    assert found[16:] == pytest.approx([sqrt(4 / 17) * left / 5 for left in (4, 3, 2, 1)])


def test_the_infinite_schedule_cools_down_stays_and_anneals() -> None:
    infinite = {"kind": "infinite", "cooldown_steps": 4, "constant_fraction": 0.4, "anneal_steps": 3}
    found = rates(run_of(14, 2, schedule=infinite | {"final_fraction": 0.04}))
    assert found[:2] == [0.5, 1.0]
    assert found[2:6] == pytest.approx([0.4 + 0.6 * (1 + cos(pi * k / 4)) / 2 for k in range(4)])
    assert found[6:11] == pytest.approx([0.4] * 5)
    # From 0.4 to 0.04 at the step after the last: a tenth in four equal factors.
    assert found[11:] == pytest.approx([0.4 * exp(-log(10) * k / 4) for k in (1, 2, 3)])
    root = rates(run_of(6, 0, schedule={"kind": "infinite", "cooldown": "inverse_sqrt", "cooldown_steps": 4}))
    assert root[2] == pytest.approx(0.5 + 0.5 * (1 / sqrt(5) - 1 / 3) / (1 - 1 / 3))
    assert root[0] == 1.0
    assert root[4:] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: "-".join(map(str, chosen.values())))
@settings(max_examples=15)
@given(warmup=st.integers(1, 4), more=st.integers(0, 60))
def test_every_schedule_rises_to_its_peak_and_never_again(chosen: dict[str, Any], warmup: int, more: int) -> None:
    found = rates(run_of(16 + more, warmup, schedule=chosen, learning_rate=0.3))
    assert all(0 < rate <= 0.3 for rate in found)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup - 1 :] == sorted(found[warmup - 1 :], reverse=True)


def test_a_branch_has_the_trunks_rates_and_then_falls_from_the_last_of_them() -> None:
    cosine = {"kind": "cosine", "final_fraction": 0.0}
    trunk = rates(run_of(40, 4, schedule=cosine))
    branch = rates(run_of(24, 4, schedule=cosine, decay_from={"step": 20, "trunk_steps": 40}))
    assert branch[:20] == trunk[:20]
    assert branch[20:] == pytest.approx([trunk[20] * left / 5 for left in (4, 3, 2, 1)])


def test_a_decay_of_the_runs_own_schedule_needs_no_trunk() -> None:
    flat = {"kind": "wsd", "decay_fraction": 0.0}
    found = rates(run_of(6, schedule=flat, decay_from={"step": 3, "decay_shape": "1-sqrt", "final_fraction": 0.5}))
    assert found == pytest.approx([1, 1, 1, *(0.5 + 0.5 * (1 - sqrt(k / 4)) for k in (1, 2, 3))])


def test_a_rewarm_rises_from_where_the_rate_was_and_follows_its_own_schedule() -> None:
    again = {"step": 8, "warmup_steps": 4, "peak_fraction": 0.5, "schedule": {"kind": "cosine", "final_fraction": 0.0}}
    found = rates(run_of(20, schedule={"kind": "cosine", "final_fraction": 0.1}, rewarms=[again]))
    first = rates(run_of(8, schedule={"kind": "cosine", "final_fraction": 0.1}))
    assert found[:8] == first
    assert found[8:12] == pytest.approx([first[7] + (0.5 - first[7]) * k / 4 for k in (1, 2, 3, 4)])
    assert found[12:] == pytest.approx([0.5 * (1 + cos(pi * k / 8)) / 2 for k in range(8)])


def test_a_warm_up_left_open_is_ten_steps_or_a_tenth_of_the_run() -> None:
    assert [warmup_steps(run_of(steps, None), steps) for steps in (5, 50, 500)] == [0, 5, 10]


@pytest.mark.parametrize(
    ("num_steps", "warmup", "optimizer", "message"),
    [
        (10, 8, {}, "do not fit into 10 steps"),
        (10, 10, {"schedule": {"kind": "cosine"}}, "leave nothing of 10 steps for the cosine"),
        (10, 11, {"schedule": {"kind": "inverse_sqrt"}}, "warmup_steps 11 are more than the 10 steps"),
        (10, 0, {"schedule": {"kind": "inverse_sqrt"}}, "no warm-up to take its timescale from"),
        (10, 0, {"schedule": {"kind": "power_steps"}}, "counts in warm-ups"),
        (10, 4, {"schedule": {"kind": "infinite", "cooldown_steps": 6, "anneal_steps": 1}}, "more than the 10 steps"),
        (
            10,
            0,
            {"schedule": {"kind": "infinite", "cooldown_steps": 6, "constant_fraction": 0.1, "final_fraction": 0.2}},
            "above constant_fraction",
        ),
        (1, None, {}, "a decay of 0 steps"),
        (4, 0, {"schedule": {"kind": "power"}}, "a decay of 0 steps"),
        (10, 0, {"decay_from": {"step": 10}}, "leaves a decay of 0 steps in a run of 10"),
        (10, 0, {"decay_from": {"step": 5, "trunk_steps": 5}}, "behind the end of a trunk of 5 steps"),
        (10, 0, {"rewarms": [{"step": 10, "warmup_steps": 1, "schedule": {"kind": "cosine"}}]}, "do not rise"),
        (10, 0, {"rewarms": [{"step": 8, "warmup_steps": 2, "schedule": {"kind": "cosine"}}]}, "leave nothing of 2"),
        (10, 0, {"schedule": {"kind": "step"}}, "expected tags"),
        # What float32 cannot hold.
        (10, 0, {"learning_rate": 1e300}, "learning_rate"),
        (10, 0, {"weight_decay": 1e300}, "weight_decay"),
        (10, 0, {"schedule": {"kind": "infinite", "cooldown_steps": 6, "curvature": 1e-300}}, "curvature"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    num_steps: int, warmup: int | None, optimizer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        run_of(num_steps, warmup, **optimizer)
