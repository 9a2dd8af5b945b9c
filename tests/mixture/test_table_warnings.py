"""Tables and fits that are doubtful: said, with the column or run, and said of nothing else."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.rng import generator
from tasks.mixture.predictors.held_out import Score
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.tables.fit import Measurements
from tasks.mixture.tables.warnings import beats_mean, warnings_of_fit, warnings_of_table

Array = npt.NDArray[np.float64]
RUNS = 40


def measurements(losses_RO: Array, columns: tuple[str, ...]) -> Measurements:
    weights_RD = generator(0, "doubts").dirichlet(np.ones(3), len(losses_RO))
    share_O = np.full(len(columns), 1 / len(columns))
    places = tuple(f"B.csv, line {line}" for line in range(2, 2 + len(losses_RO)))
    return Measurements(("a", "b", "c"), "mean", Measured(weights_RD, losses_RO, share_O), columns, places)


def losses(columns: int = 3) -> Array:
    stream = generator(1, "doubts")
    return np.asarray(2.0 + 0.3 * np.arange(columns) + 0.05 * stream.normal(size=(RUNS, columns)))


def score(objective_R: Array, predicted_R: Array, spearman: float) -> Score:
    error_R = predicted_R - objective_R
    return Score("stack", float(np.sqrt((error_R**2).mean())), spearman, 0.9, predicted_R, np.ones(RUNS))


def test_losses_of_one_kind_raise_no_doubt() -> None:
    wide = losses() * [1.0, 4.0, 0.3]
    assert warnings_of_table(measurements(losses(), ("x", "y", "id"))) == ()
    assert warnings_of_table(measurements(wide, ("x", "y", "z"))) == ()
    assert warnings_of_table(measurements(losses(1), ("x",))) == ()


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.arange(1000.0, 1000 + 10 * RUNS, 10), "extra"),
        (np.arange(RUNS, 0.0, -1), "extra"),
        (losses(1)[:, 0], "Step"),
    ],
)
def test_a_counter_among_the_losses_is_named(values: Array, name: str) -> None:
    told = warnings_of_table(measurements(np.column_stack([losses(), values]), ("x", "y", "z", name)))
    assert told[0].startswith(f"column {name} is part of the target, but looks like a counter")


@pytest.mark.parametrize(
    ("scaled", "told"),
    [([1, 1, 150], ": z "), ([1, 1, 0.004], ": z is typically"), ([1, 150, 150], " times)")],
)
def test_columns_that_differ_a_hundredfold_in_scale_are_named(scaled: list[float], told: str) -> None:
    found = warnings_of_table(measurements(losses() * scaled, ("x", "y", "z")))
    assert len(found) == 1 and "differ in scale" in found[0] and told in found[0]


def test_a_column_that_varies_a_hundred_times_as_much_is_named_whatever_its_level() -> None:
    values = losses()
    values[:, 2] = 2.0 + 200 * (values[:, 2] - values[:, 2].mean())
    found = warnings_of_table(measurements(values, ("x", "y", "z")))
    assert any("z varies by" in each for each in found)


def test_a_run_that_diverged_is_named_with_its_line_and_a_bad_one_is_not() -> None:
    values = losses()
    values[7] += 0.3
    assert warnings_of_table(measurements(values, ("x", "y", "z"))) == ()
    values[5, 1] = 1e6
    told = warnings_of_table(measurements(values, ("x", "y", "z")))
    assert len(told) == 1 and told[0].startswith("1 run of 40 lie") and "B.csv, line 7" in told[0]


def test_a_fit_that_does_not_beat_the_mean_is_told_and_one_that_does_is_not() -> None:
    found = measurements(losses(), ("x", "y", "z"))
    objective_R = found.measured.objective_R
    good = score(objective_R, objective_R + 0.001, 0.99)
    assert beats_mean(good, objective_R) and warnings_of_fit(found, good) == ()
    wrong = replace(good, spearman=-0.2)
    constant = score(objective_R, np.full(RUNS, objective_R.mean()), float("nan"))
    far = replace(good, rmse=float(objective_R.std()))
    for useless in (wrong, constant, far):
        assert not beats_mean(useless, objective_R)
        assert warnings_of_fit(found, useless)[0].startswith("no predictor beats the mean of the runs")
