"""Published figures of scaling laws, recomputed from the published tables."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.law_tables import (
    LARGE,
    MIDDLE,
    Pair,
    Run,
    chinchilla_points,
    loss_pairs,
    over_trained,
    published_choice,
    table,
)
from tasks.laws.chinchilla import Chinchilla, fit_chinchilla
from tasks.laws.cmr import Cmr, fit_cmr
from tasks.laws.law import FittedLaw
from tasks.laws.loss_to_loss import LossToLoss, fit_loss_to_loss
from tasks.laws.over_training import OverTraining, fit_over_training


def fit_as_published(runs: list[Run]) -> FittedLaw:
    """The five runs of table 2 of the paper, and for the error law one more."""
    cheap = [run for run in runs if published_choice(run)]
    more = [run for run in runs if run.params == MIDDLE and run.multiplier == 20]
    assert (len(cheap), len(more)) == (5, 1)
    chosen, use = [*cheap, *more], ["both"] * 5 + ["error"]
    columns = {
        "params": [run.params for run in chosen],
        "tokens": [run.tokens for run in chosen],
        "loss": [run.losses["c4_val"] for run in chosen],
        "error": [run.error for run in chosen],
    }
    return fit_over_training(OverTraining(), table(**columns, use=use))


@pytest.fixture(scope="module")
def runs(shared_data: Path) -> list[Run]:
    return over_trained(shared_data)


@pytest.mark.parametrize(
    ("pool", "large"),
    [
        ("rpj", {(MIDDLE, 640): (0.7103, 3.6365), (LARGE, 20): (0.7320, 0.0464)}),
        ("c4_original", {(MIDDLE, 80): (1.4979, 9.5818), (LARGE, 20): (4.2952, 0.1370)}),
        ("rw_original", {(MIDDLE, 320): (0.0052, 5.6167), (LARGE, 20): (1.6193, 2.9388)}),
    ],
)
def test_the_over_training_law_errs_as_published(
    runs: list[Run], pool: str, large: dict[tuple[int, int], tuple[float, float]]
) -> None:
    of_pool = [run for run in runs if run.pool == pool]
    law = fit_as_published(of_pool)
    for (params, multiplier), percent in large.items():
        (measured,) = [run for run in of_pool if run.params == params and run.multiplier == multiplier]
        answer = law.answer(table(params=[measured.params], tokens=[measured.tokens]), 0.8)
        loss, error = (float(answer.columns[name][0]) for name in ("prediction", "error_prediction"))
        found = 100 * abs(loss / measured.losses["c4_val"] - 1), 100 * abs(error / measured.error - 1)
        assert found == pytest.approx(percent, abs=6e-5)


def test_chinchillas_refit_is_the_published_one_within_its_standard_errors(shared_data: Path) -> None:
    law = fit_chinchilla(Chinchilla(), table(**chinchilla_points(shared_data)))
    found = {name: value for name, (value, *_) in law.curves["loss"].reported(0.8).items()}
    # Besiroglu et al., arXiv 2404.10102, table 1: estimate and standard error.
    published = {
        "A": (482.01, 124.58),
        "B": (2085.43, 1293.23),
        "E": (1.8172, 0.03),
        "alpha": (0.3478, 0.02),
        "beta": (0.3658, 0.02),
    }
    assert all(abs(found[name] - value) < 0.25 * error for name, (value, error) in published.items()), found


def test_huber_ends_at_the_optimum_that_the_authors_notebook_prints(shared_data: Path) -> None:
    points = chinchilla_points(shared_data)
    law = fit_chinchilla(Chinchilla(), table(**points)).curves["loss"]
    size_R = np.abs(np.log(law.values(points)) - np.log(points["loss"]))
    huber = np.where(size_R <= 1e-3, 0.5 * size_R**2, 1e-3 * (size_R - 0.5e-3)).sum()
    assert huber <= 0.0010182740346154362


@pytest.mark.parametrize(
    ("losses", "measured", "paper"),
    [
        ((1.4628, 1.4844, 1.5122, 1.5387), 1.5561, 1.5566),
        ((1.3723, 1.3910, 1.4155, 1.4385), 1.4538, 1.4546),
        ((1.3242, 1.3416, 1.3643, 1.3854), 1.3994, 1.3999),
        ((1.2585, 1.2750, 1.2965, 1.3170), 1.3305, 1.3303),
    ],
)
def test_the_loss_at_a_quarter_of_domain_data_is_predicted_as_well_as_in_the_paper(
    losses: tuple[float, ...], measured: float, paper: float
) -> None:
    """Table 2 of arXiv 2407.17467: four sizes, fitted on ratios of 1 to 1/3."""
    runs = table(params=[1.0] * 4, tokens=[2e10] * 4, ratio=[1, 0.75, 0.5, 1 / 3], loss=losses)
    answer = fit_cmr(Cmr(), runs).answer(table(params=[1.0], tokens=[2e10], ratio=[0.25]), 0.8)
    found, lower, upper = (float(answer.columns[name][0]) for name in ("prediction", "lower", "upper"))
    # Losses are printed to four digits.
    assert abs(found - measured) <= abs(paper - measured) + 1e-4
    assert lower < measured < upper


def mean_errors(pairs: list[Pair]) -> tuple[float, float, float]:
    """Ours, the authors' curve, and their scaling law of the second loss."""
    found = []
    for pair in pairs:
        answer = fit_loss_to_loss(LossToLoss(), table(**pair.runs)).answer(table(loss_0=[pair.large_0]), 0.8)
        values = float(answer.columns["prediction"][0]), pair.authors_curve(), pair.authors_law
        found.append([abs(value / pair.large_1 - 1) for value in values])
    ours, curve, law = np.mean(found, axis=0).tolist()
    return ours, curve, law


def test_losses_of_other_corpora_are_extrapolated_better_than_by_the_authors_fits(shared_data: Path) -> None:
    """From one of the six corpora to the others, 20 times the compute of the largest run fitted."""
    pairs = [pair for pair in loss_pairs(shared_data) if pair.way == "train to train"]
    ours, curve, law = mean_errors([pair for pair in pairs if pair.large_0 == pairs[0].large_0])
    assert ours < min(curve, law)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["train to train", "test to test", "train to test"])
def test_losses_are_extrapolated_better_than_by_the_authors_fits(shared_data: Path, way: str) -> None:
    ours, curve, law = mean_errors([pair for pair in loss_pairs(shared_data) if pair.way == way])
    assert ours < min(curve, law)
