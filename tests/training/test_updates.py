"""A forecast that is looked at again on the way: it reads what was trained by then, and holds what it says."""

from collections.abc import Sequence
from typing import Any

import pytest

from tasks.core.rng import generator
from tasks.mixture.published_forecast import ExpectedLoss, ExpectedValue, Forecast, MixtureForecast
from tasks.training.config import TrainingConfig
from tasks.training.curve import SHARES, rates_at
from tasks.training.params import demo_full
from tasks.training.published_updates import ForecastUpdates
from tasks.training.updates import RunCurve, updates
from tests.evaluation.made import forecast as made

FULL = demo_full()
STEPS = FULL.num_steps
EIGHTY = 1.2815515655446004
# What the fall to this size may be off by, in the training loss and in the value; and the noise of either.
COMMON, NOISE, OF_VALUE, OWN = 0.3, 0.05, 0.1, 0.02


def mixture(value: float) -> MixtureForecast:
    told = ExpectedValue.of(value, OF_VALUE, OWN, EIGHTY)
    rates = rates_at(FULL)
    curve = [
        ExpectedLoss(share=share, rate=rate, loss=5.0 - share, common=COMMON, sd=NOISE)
        for share, rate in zip(SHARES, rates, strict=True)
    ]
    return MixtureForecast(objective=told, sets={"d0": told}, curve=tuple(curve))


def before(**changes: Any) -> Forecast:
    values = {"confidence": 0.8, "values": {"searched": mixture(2.0), "natural": mixture(2.1)}}
    return made(0.1, 0.05, 0.15, **{**values, **changes})


def curve(*off: float, training: TrainingConfig = FULL, name: str = "natural") -> RunCurve:
    """A run whose loss is so far above what is expected where it is read: everywhere the same, or at every share."""
    ends = [round(share * STEPS) for share in (*SHARES, 1.0)]
    starts, levels = (0, *ends[:-1]), (*SHARES, 1.0)
    errors = (*off, 0.0) if len(off) == len(SHARES) else (sum(off),) * len(levels)
    parts = zip(starts, ends, levels, errors, strict=True)
    return RunCurve(
        name, training, [5.0 - level + error for start, end, level, error in parts for _ in range(start, end)]
    )


def looked(curves: Sequence[RunCurve], told: Forecast | None = None) -> ForecastUpdates:
    found = updates(told or before(), curves)
    assert found is not None
    return found


def test_a_run_as_expected_changes_no_value_and_narrows_its_interval() -> None:
    found = looked([curve(), curve(name="searched")]).updates
    assert [update.share for update in found] == list(SHARES)
    assert [update.step for update in found] == [30, 60, 90, 114]
    for update in found:
        told = update.values["natural"].sets["d0"]
        assert told.value == pytest.approx(2.1) and update.off == pytest.approx(0.0, abs=1e-9)
        assert told.upper - told.value < EIGHTY * (OF_VALUE**2 + OWN**2) ** 0.5
        assert update.gain.value == pytest.approx(0.1)


def test_a_loss_above_what_was_expected_raises_every_value_by_what_they_have_in_common() -> None:
    (first, *_) = looked([curve(0.3)]).updates
    assert first.losses["natural"] - first.expected["natural"] == pytest.approx(0.3)
    share = COMMON**2 / (COMMON**2 + NOISE**2)
    assert first.off == pytest.approx(share, rel=1e-2)
    for name, value in (("searched", 2.0), ("natural", 2.1)):
        assert first.values[name].objective.value == pytest.approx(value + OF_VALUE * share, rel=1e-2)  # type: ignore[index]


def test_every_further_reading_narrows_what_the_fall_may_be_off_by() -> None:
    commons = [update.values["natural"].objective.common for update in looked([curve(0.1)]).updates]
    assert commons[0] < OF_VALUE and commons == sorted(commons, reverse=True)


def test_an_update_reads_no_step_behind_its_own() -> None:
    whole = curve(0.1)
    cut = RunCurve("natural", FULL, [*whole.losses[: STEPS // 2], *[9.0] * (STEPS - STEPS // 2)])
    one, other = looked([whole]).updates, looked([cut]).updates
    assert one[:2] == other[:2] and one[2:] != other[2:]


def test_under_another_schedule_nothing_is_said_where_it_differs() -> None:
    optimizer = FULL.optimizer.model_dump() | {"schedule": {"kind": "wsd", "decay_fraction": 0.1}}
    training = TrainingConfig.model_validate({**FULL.model_dump(), "optimizer": optimizer})
    found = looked([curve(training=training)])
    assert [update.share for update in found.updates] == [0.25, 0.5]
    assert "at 75% the learning rate is 1.00 of its peak, and was 0.6" in found.statement


def test_without_an_expected_curve_or_its_mixtures_there_are_no_updates() -> None:
    assert updates(made(0.1, 0.0, 0.2), [curve()]) is None
    assert updates(before(), [curve(name="uniform")]) is None


@pytest.mark.parametrize("place", range(len(SHARES)))
def test_eighty_percent_of_values_lie_in_the_interval_after_an_update(place: int) -> None:
    stream, inside, runs, told = generator(0, "updates", str(place)), 0, 300, before()
    for _ in range(runs):
        fall = stream.standard_normal()
        read = curve(*(COMMON * fall + NOISE * stream.standard_normal(len(SHARES))).tolist())
        value = looked([read], told).updates[place].values["natural"].objective
        truth = 2.1 + OF_VALUE * fall + OWN * stream.standard_normal()
        inside += value.lower <= truth <= value.upper
    assert 0.7 <= inside / runs <= 0.9
