"""Mixtures beyond the measured weights: marked, counted, and with intervals that grow; inside nothing changes."""

import csv
import io

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.rng import generator
from tasks.mixture.predictors.choose import NINETY, Selection
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.tables.extrapolation import MeasuredRange
from tasks.mixture.tables.fit import Measurements, TableFit, fit_table

Array = npt.NDArray[np.float64]
DOMAINS = ("a", "b", "c", "d")


def measured_near_equal(runs: int = 24) -> Measured:
    """Mixtures of three domains within .25 to .45 or so; the fourth never had any weight."""
    stream = generator(0, "extrapolation")
    weights_RD = np.hstack([stream.dirichlet(np.full(3, 60.0), runs), np.zeros((runs, 1))])
    loss_R = 2 + 0.4 * (0.1 + weights_RD[:, :2] @ [1.0, 0.5]) ** -0.4 + 0.0005 * stream.normal(size=runs)
    return Measured(weights_RD, loss_R[:, None], np.ones(1))


@pytest.fixture(scope="module")
def fitted() -> TableFit:
    found = measured_near_equal()
    places = tuple(f"line {row}" for row in range(len(found.weights_RD)))
    return fit_table(Selection(zoo=(RidgeSqrt(),)), Measurements(DOMAINS, "mean", found, ("loss",), places))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_inside_the_measured_weights_intervals_are_as_calibrated(fitted: TableFit) -> None:
    inside_MD = measured_near_equal().weights_RD
    told = fitted.predict(inside_MD)
    assert not told.extrapolated_M.any()
    half_M = NINETY * fitted.choice.predictor.measured_sd(inside_MD)
    assert np.array_equal(told.upper_M, told.prediction_M + half_M)
    assert fitted.range.warning(inside_MD, range(2, 2 + len(inside_MD))) is None


def test_beyond_them_a_mixture_is_marked_and_its_interval_grows_with_the_distance(fitted: TableFit) -> None:
    share_M = np.array([0.34, 0.5, 0.7, 0.9])
    wanted_MD = np.column_stack([share_M, (1 - share_M) / 2, (1 - share_M) / 2, np.zeros(4)])
    told = fitted.predict(wanted_MD)
    assert told.extrapolated_M.tolist() == [False, True, True, True]
    half_M = (told.upper_M - told.lower_M) / 2
    calibrated_M = NINETY * fitted.choice.predictor.measured_sd(wanted_MD)
    assert half_M[0] == pytest.approx(calibrated_M[0])
    assert (half_M[1:] > 2 * calibrated_M[1:]).all() and (np.diff(half_M) > 0).all()
    truth_M = 2 + 0.4 * (0.1 + wanted_MD[:, :2] @ [1.0, 0.5]) ** -0.4
    assert ((told.lower_M <= truth_M) & (truth_M <= told.upper_M)).all()
    assert [row["extrapolated"] for row in rows_of(told.to_csv())] == ["false", "true", "true", "true"]


@pytest.mark.parametrize("off", [-0.2, 0.08, 0.25, 0.79])
def test_of_a_domain_that_no_run_had_whatever_is_true_is_inside(fitted: TableFit, off: float) -> None:
    wanted_MD = np.array([[0.17, 0.17, 0.16, 0.5]])
    told = fitted.predict(wanted_MD)
    assert told.lower_M[0] <= told.prediction_M[0] + off <= told.upper_M[0]


def test_a_trace_of_a_domain_that_no_run_had_is_no_whole_unknown(fitted: TableFit) -> None:
    trace, half = (fitted.predict(np.array([[0.33, 0.33, 0.34 - w, w]])) for w in (0.001, 0.3))
    assert trace.extrapolated_M[0]
    assert 0 < (trace.upper_M - trace.lower_M)[0] < 0.05 * (half.upper_M - half.lower_M)[0]


def test_the_warning_counts_them_and_names_the_first_with_the_measured_weights() -> None:
    found = MeasuredRange(("a", "b"), np.array([0.2, 0.0]), np.array([1.0, 0.0]), 0.1)
    wanted_MD = np.array([[0.9, 0.0], [0.5, 0.5], [0.1, 0.0]])
    told = found.warning(wanted_MD, (2, 3, 5))
    assert told is not None and told.startswith(
        "2 of 3 mixtures have a weight beyond what was measured (first: line 3, b 0.5, measured 0 to 0)"
    )
    assert "of a domain whose weight never varied nothing is known" in told
    again = found.warning(wanted_MD[2:], (5,))
    assert again is not None and "line 5, a 0.1, measured 0.2 to 1" in again and "never varied" not in again
