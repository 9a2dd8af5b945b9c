"""Forecasts from a table of runs: the law is found again, and what is held out is judged."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import DataError, EvidenceError
from tasks.ladder.forecast import COLUMNS, MEAN, At, forecast, interval_score, read_runs
from tasks.ladder.proportional import Proportional
from tasks.laws.chinchilla import Chinchilla
from tasks.laws.over_training import OverTraining

SETS = {"code": (0.6, 40.0), "prose": (0.9, 60.0)}


def loss(name: str, params: float, tokens: float) -> float:
    """A law of the over-training form, in bits per byte."""
    floor, scale = SETS[name]
    return floor + scale * params**-0.3 + 1.5 * scale * tokens**-0.3


def rows(sizes: int, noise: float = 0.0) -> list[str]:
    generator = np.random.default_rng(1)
    return [
        f"{n},{m * n},{6 * m * n * n},{seed},{name},{loss(name, n, m * n) * (1 + noise * generator.standard_normal())!r}"
        for n in [100_000 * 2**size for size in range(sizes)]
        for m in (5, 10, 20)
        for seed in (0, 1)
        for name in SETS
    ]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "runs.csv"
    path.write_text("\n".join([",".join(COLUMNS), *lines, ""]))
    return path


def test_sets_and_their_mean_are_forecast_beside_the_naive_value_and_checked(tmp_path: Path) -> None:
    at = At(1_600_000, 32_000_000)
    told = forecast(read_runs(written(tmp_path, rows(4, noise=0.001))), OverTraining(), [at], 0.8)
    truths = {name: loss(name, at.params, at.tokens) for name in SETS}
    truths[MEAN] = sum(truths.values()) / 2
    assert [one.set for one in told.forecasts] == [*SETS, MEAN] and told.runs == 24
    for one in told.forecasts:
        assert one.prediction == pytest.approx(truths[one.set], rel=0.01)
        assert one.lower < one.prediction < one.upper and one.extrapolation == pytest.approx(4, rel=0.01)
        assert one.naive > 1.02 * truths[one.set] and one.naive_lower < one.naive < one.naive_upper
    check = told.check
    assert check is not None and abs(check.largest_mean_error) < 0.01
    # Two sizes can be held out: what is left below the second has one size alone.
    assert check.clusters == 2 * len(SETS) and len(check.forecasts) == 2 * 3 * (len(SETS) + 1)
    assert check.interval_score < check.naive_interval_score and check.median_error < check.naive_median_error


def test_sizes_whose_runs_are_too_short_for_a_power_law_are_named(tmp_path: Path) -> None:
    lines = rows(3)
    late = [line for line in lines if line.startswith("200000,4000000,")]
    bent = [
        f"{line.rpartition(',')[0]},{float(line.rpartition(',')[2]) * 0.9!r}" if line in late else line
        for line in lines
    ]
    told = [forecast(read_runs(written(tmp_path, own)), Chinchilla(), [At(1e6, 1e7)], 0.8) for own in (lines, bent)]
    assert [one.bending_sizes for one in told] == [(), (200_000.0,)]


def test_a_held_out_size_is_forecast_from_the_smaller_ones_alone(tmp_path: Path) -> None:
    lines = [line for line in rows(3) if ",code," in line]
    other = [f"{line.rpartition(',')[0]},9.0" if line.startswith("400000,") else line for line in lines]
    first = forecast(read_runs(written(tmp_path, lines)), OverTraining(), [At(1e6, 1e7)], 0.8).check
    second = forecast(read_runs(written(tmp_path, other)), OverTraining(), [At(1e6, 1e7)], 0.8).check
    assert first is not None and second is not None
    assert [one.prediction for one in first.forecasts] == [one.prediction for one in second.forecasts]
    assert {one.measured for one in second.forecasts} == {9.0}


def test_a_ladder_of_two_sizes_is_not_checked_and_one_of_a_single_size_gives_no_forecast(tmp_path: Path) -> None:
    assert forecast(read_runs(written(tmp_path, rows(2))), Chinchilla(), [At(1e6, 1e7)], 0.8).check is None
    with pytest.raises(EvidenceError, match="the same params"):
        forecast(read_runs(written(tmp_path, rows(1))), OverTraining(), [At(1e6, 1e7)], 0.8)


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda lines: lines[:-1], "1 of 6 runs lack the set prose"), (lambda lines: [*lines, lines[0]], "there before")],
)
def test_a_run_without_a_set_or_with_one_twice_is_refused(change: object, told: str, tmp_path: Path) -> None:
    assert callable(change)
    with pytest.raises(DataError, match=told):
        read_runs(written(tmp_path, change(rows(1))))


def test_an_interval_that_misses_pays_for_the_distance() -> None:
    assert interval_score(1.0, 2.0, 0.9, 0.8) == pytest.approx(2.0)
    assert interval_score(1.0, 2.0, 1.0, 0.9) == 1.0


def test_sizes_that_grew_in_proportion_say_what_a_larger_one_reaches_with_as_many_tokens_per_parameter(
    tmp_path: Path,
) -> None:
    runs = read_runs(written(tmp_path, rows(4, noise=0.001)))
    told = forecast(runs, Proportional(), [At(1_600_000, 16_000_000), At(1_600_000, 11_000_000)], 0.8)
    for one in told.forecasts:
        truth = [loss(name, one.params, one.tokens) for name in SETS if one.set in (name, MEAN)]
        assert one.prediction == pytest.approx(sum(truth) / len(truth), rel=0.02)
        assert one.lower < one.prediction < one.upper and one.extrapolation == pytest.approx(4, rel=0.01)
    check = told.check
    assert check is not None and abs(check.largest_mean_error) < 0.02 and check.clusters == 2 * len(SETS)
    assert check.interval_score < check.naive_interval_score


def test_tokens_per_parameter_that_no_two_sizes_have_are_refused(tmp_path: Path) -> None:
    runs = read_runs(written(tmp_path, rows(3)))
    with pytest.raises(EvidenceError, match=r"0 sizes below 1e\+06 parameters have runs with 100 tokens"):
        forecast(runs, Proportional(), [At(1e6, 1e8)], 0.8)
    with pytest.raises(EvidenceError, match="1 sizes below"):
        forecast(runs, Proportional(), [At(2e5, 2e6)], 0.8)
