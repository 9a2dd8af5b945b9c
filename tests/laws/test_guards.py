"""What laws refuse, and that a law made from known parameters comes back."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.law_tables import table
from tasks.core.errors import DataError, EvidenceError
from tasks.core.rng import generator
from tasks.laws.chinchilla import Chinchilla, fit_chinchilla
from tasks.laws.cmr import Cmr, fit_cmr
from tasks.laws.curve import Array
from tasks.laws.d_cpt import DCpt, fit_d_cpt
from tasks.laws.over_training import OverTraining, fit_over_training
from tasks.laws.table import POSITIVE, Column, read_law_table

GRID = np.array([(params, params * ratio) for params in (1e7, 3e7, 1e8, 3e8) for ratio in (10.0, 20.0, 80.0)]).T


def chinchilla_loss(params: Array, tokens: Array) -> Array:
    return np.asarray(1.8 + 480 / params**0.35 + 2000 / tokens**0.37)


@pytest.mark.parametrize("objective", ["huber", "log_squares", "squares"])
def test_each_of_the_three_fits_gives_the_law_back_that_made_the_runs(objective: str) -> None:
    runs = table(params=GRID[0], tokens=GRID[1], loss=chinchilla_loss(*GRID))
    law = fit_chinchilla(Chinchilla.model_validate({"objective": objective}), runs)
    found = {name: value for name, (value, *_) in law.curves["loss"].reported(0.8).items()}
    assert found == pytest.approx({"E": 1.8, "A": 480, "B": 2000, "alpha": 0.35, "beta": 0.37}, rel=1e-3)


def test_intervals_widen_with_the_distance_and_with_the_confidence() -> None:
    noise_R = 1 + 0.01 * generator(0, "laws").standard_normal(len(GRID[0]))
    runs = table(params=GRID[0], tokens=GRID[1], loss=chinchilla_loss(*GRID) * noise_R)
    law = fit_chinchilla(Chinchilla(), runs).curves["loss"]
    at = {"params": np.array([1e8, 1e9, 1e10]), "tokens": np.array([2e9, 2e10, 2e11])}
    narrow, wide = law.predict(at, 0.5), law.predict(at, 0.9)
    half_R = np.log(narrow.upper_R / narrow.prediction_R)
    assert half_R[0] < half_R[1] < half_R[2]
    assert (wide.lower_R < narrow.lower_R).all() and (wide.upper_R > narrow.upper_R).all()
    assert narrow.far_R.tolist() == [False, False, True]


def test_as_many_points_as_parameters_are_fitted_with_wide_intervals() -> None:
    params, tokens = GRID[:, [0, 2, 4, 7, 9]]
    law = fit_chinchilla(Chinchilla(), table(params=params, tokens=tokens, loss=chinchilla_loss(params, tokens)))
    found = law.curves["loss"].predict({"params": np.array([1e9]), "tokens": np.array([2e10])}, 0.8)
    assert np.isfinite(found.upper_R).all() and (found.upper_R / found.lower_R > 1.05).all()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (slice(0, 4), r"4 different points \(params, tokens\) cannot identify the 5 parameters.*Add at least 1 more"),
        (slice(0, 3), "all 3 runs have the same params"),
    ],
)
def test_points_that_cannot_identify_a_law_are_refused(rows: slice, told: str) -> None:
    params, tokens = GRID[:, rows]
    with pytest.raises(EvidenceError, match=told):
        fit_chinchilla(Chinchilla(), table(params=params, tokens=tokens, loss=chinchilla_loss(params, tokens)))


def test_a_run_counts_once_however_often_it_was_repeated() -> None:
    params, tokens = np.repeat(GRID[:, [0, 4, 9]], 4, axis=1)
    with pytest.raises(EvidenceError, match="3 different points"):
        fit_over_training(OverTraining(), table(params=params, tokens=tokens, loss=chinchilla_loss(params, tokens)))


def test_one_ratio_is_refused() -> None:
    ratio = np.full(len(GRID[0]), 0.5)
    runs = table(params=GRID[0], tokens=GRID[1], ratio=ratio, loss=chinchilla_loss(*GRID))
    with pytest.raises(EvidenceError, match="the same ratio"):
        fit_d_cpt(DCpt(), runs)
    with pytest.raises(EvidenceError, match="the same ratio"):
        fit_cmr(Cmr(), table(params=[1.0] * 3, tokens=[1.0] * 3, ratio=[0.5] * 3, loss=[2.0, 2.1, 2.2]))


def test_a_use_that_is_none_is_refused() -> None:
    columns = {"params": GRID[0], "tokens": GRID[1], "loss": chinchilla_loss(*GRID), "error": np.full(12, 0.5)}
    with pytest.raises(DataError, match="12 cells of column use are none of loss, error, both"):
        fit_over_training(OverTraining(), table(**columns, use=["all"] * 12))


def test_the_d_cpt_law_is_carried_on_beyond_its_points() -> None:
    def loss(params: Array, tokens: Array, ratio: Array) -> Array:
        return np.asarray(1.2 + 300 / params**0.35 + 80 * ratio**0.4 / tokens**0.25 + 0.15 / (ratio + 0.1) ** 0.5)

    grid = np.array([(n, d, r) for n in (5e8, 2e9, 4e9) for d in (1e9, 5e9, 2e10) for r in (0.0, 0.1, 0.5, 0.9)]).T
    law = fit_d_cpt(
        DCpt(objective="log_squares"), table(params=grid[0], tokens=grid[1], ratio=grid[2], loss=loss(*grid))
    )
    at = {"params": np.array([1e10]), "tokens": np.array([4e10]), "ratio": np.array([0.3])}
    assert law.curves["loss"].values(at) == pytest.approx(loss(*at.values()), rel=2e-3)


def test_the_critical_ratio_is_the_largest_that_keeps_the_loss() -> None:
    grid = np.array([(tokens, ratio) for tokens in (2e9, 6e9, 2e10) for ratio in (0.1, 0.25, 0.5, 0.75)]).T

    def loss(tokens: Array, ratio: Array) -> Array:
        return np.asarray(2.0 - 0.02 * np.log(tokens / 1e9) + 0.3 * ratio**1.5)

    tokens, ratio = np.append(grid[0], 0.0), np.append(grid[1], 0.0)
    losses = np.append(loss(*grid), 2.0)
    runs = table(params=[1e9] * 13, tokens=tokens, ratio=ratio, loss=losses)
    at = table(params=[1e9, 1e9], tokens=[6e9, 2e10], ratio=[0.5, 0.5])
    answer = fit_cmr(Cmr(tolerance=0.05), runs).answer(at, 0.8)
    critical = np.array(list(map(float, answer.columns["critical_ratio"])))
    expected = ((0.05 + 0.02 * np.log(at.numbers["tokens"] / 1e9)) / 0.3) ** (1 / 1.5)
    assert critical == pytest.approx(expected, abs=0.01)
    lower, upper = (float(answer.columns[name][0]) for name in ("critical_lower", "critical_upper"))
    assert lower < critical[0] < upper


def test_the_critical_ratio_is_not_given_for_a_size_that_was_not_fitted() -> None:
    runs = table(params=[1.0] * 3, tokens=[1.0] * 3, ratio=[0.2, 0.5, 1.0], loss=[2.0, 2.1, 2.3])
    with pytest.raises(DataError, match="1 rows have a size that was not fitted"):
        fit_cmr(Cmr(), runs).answer(table(params=[2.0], tokens=[1.0], ratio=[0.5]), 0.8)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size,tokens\n1,2\n", r"1 column missing: `params` \(parameters\). There are: size, tokens"),
        ("params\n-5\n3\n", "1 value of column params .* are not above 0; first: .*line 2: -5"),
        ("params\n5\nmany\n\n", r"1 cell of column params are no finite numbers \(words\); first: .*line 3: 'many'"),
        ("params\nnan\n", r"1 cell .*a run that diverged\?"),
        ("params\n", "a header and at least one row are needed"),
        ("", "a header and at least one row are needed"),
    ],
)
def test_cells_that_a_law_cannot_read_are_refused_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_law_table(tmp_path / "runs.csv", (Column("params", "parameters", POSITIVE),))
