"""Clustering on difficulty, and losses from losses, on runs made from known laws."""

import numpy as np
import pytest

from benchmarks.law_tables import table
from tasks.core.errors import DataError, EvidenceError
from tasks.core.rng import generator
from tasks.laws.clusters import clusters_of
from tasks.laws.cod import Cod, fit_cod
from tasks.laws.curve import Array
from tasks.laws.floors import floor_of
from tasks.laws.loss_to_loss import LossToLoss, fit_loss_to_loss
from tasks.laws.table import LawTable

COMPUTE = np.geomspace(1e17, 1e20, 8)


def rates(compute_R: Array) -> Array:
    """Twelve items that are solved early, eight that are solved late, four that are never solved."""
    early, late = (np.exp(-((compute_R / scale) ** -0.25) - 0.02) for scale in (1e18, 2e20))
    offsets = np.linspace(-0.01, 0.01, 12)
    return np.vstack([early + offsets[:, None], late + offsets[:8, None], np.zeros((4, len(compute_R)))]).clip(0, 1)


def passes(compute_R: Array, rates_IR: Array) -> LawTable:
    items = [f"item{number:02}" for number in range(len(rates_IR))]
    return table(
        params=np.repeat(np.sqrt(compute_R / 120), len(items)),
        tokens=np.repeat(20 * np.sqrt(compute_R / 120), len(items)),
        item=items * len(compute_R),
        pass_rate=rates_IR.T.ravel(),
    )


def test_items_of_one_difficulty_are_one_cluster_and_the_odd_ones_are_in_none() -> None:
    odd_IR = np.vstack([rates(COMPUTE), np.full((1, 8), 0.9)])
    found = clusters_of(odd_IR, 0.1, 3)
    assert sorted(map(sorted, (one.tolist() for one in found))) == [
        list(range(12)),
        list(range(12, 20)),
        list(range(20, 24)),
    ]


def test_the_mean_of_all_items_is_carried_on_from_those_that_can_be() -> None:
    law = fit_cod(Cod(radius=0.1), passes(COMPUTE, rates(COMPUTE)))
    assert law.notes == ("20 of 24 items are in 2 clusters that can be carried on",)
    large = np.array([1e21])
    answer = law.answer(table(params=np.sqrt(large / 120), tokens=20 * np.sqrt(large / 120)), 0.8)
    found, lower, upper = (float(answer.columns[name][0]) for name in ("prediction", "lower", "upper"))
    truth = float(rates(large).mean())
    assert found == pytest.approx(truth, abs=0.03)
    assert lower < truth < upper


def test_items_that_no_run_solves_are_carried_nowhere() -> None:
    with pytest.raises(EvidenceError, match="of 1 cluster of items none rises"):
        fit_cod(Cod(), passes(COMPUTE, np.zeros((5, 8))))


def test_an_item_that_a_run_lacks_is_named() -> None:
    whole = passes(COMPUTE, rates(COMPUTE))
    with pytest.raises(DataError, match=r"1 of 192 pairs of item and run .* item item00 is missing at"):
        fit_cod(Cod(), whole.only(np.arange(len(whole)) > 0))


def test_two_runs_cannot_identify_a_cluster() -> None:
    with pytest.raises(EvidenceError, match="2 different points"):
        fit_cod(Cod(), passes(COMPUTE[:2], rates(COMPUTE[:2])))


@pytest.mark.parametrize("sized", [True, False])
def test_a_loss_is_carried_on_from_another(sized: bool) -> None:
    sizes = np.array([(params, ratio * params) for params in np.geomspace(1e7, 1e9, 5) for ratio in (10.0, 40.0)]).T
    first_R = 1.9 + 400 / sizes[0] ** 0.34 + 1500 / sizes[1] ** 0.35
    second = lambda loss_R: 1.3 + 0.8 * (loss_R - 1.9) ** 1.05  # noqa: E731
    noise_R = 1 + 0.001 * generator(1, "losses").standard_normal(len(first_R))
    columns = {"loss_0": first_R, "loss_1": second(first_R) * noise_R}
    runs = table(**columns, params=sizes[0], tokens=sizes[1]) if sized else table(**columns)
    answer = fit_loss_to_loss(LossToLoss(), runs).answer(table(loss_0=[2.2]), 0.8)
    found, lower, upper = (float(answer.columns[name][0]) for name in ("prediction", "lower", "upper"))
    assert found == pytest.approx(second(2.2), rel=0.01)
    assert lower < second(2.2) < upper


def test_a_floor_that_the_losses_leave_open_is_known_to_be_and_taken_lower() -> None:
    sizes = np.array([(params, ratio * params) for params in np.geomspace(1e7, 1e9, 5) for ratio in (10.0, 40.0)]).T
    columns = {"params": sizes[0], "tokens": sizes[1]}
    loss_R = 1.9 + 400 / sizes[0] ** 0.34 + 1500 / sizes[1] ** 0.35
    noise_R = generator(1, "losses").standard_normal(len(loss_R))
    clean, noisy = (floor_of(columns, loss_R * np.exp(sd * noise_R)) for sd in (0.001, 0.05))
    assert 1.7 < clean.cautious < clean.mean < 2
    assert noisy.sd > 5 * clean.sd
    assert abs(noisy.cautious - 1.9) < abs(noisy.mean - 1.9)


def test_three_pairs_cannot_identify_four_parameters() -> None:
    with pytest.raises(EvidenceError, match=r"3 different points \(loss_0\) cannot identify the 4 parameters"):
        fit_loss_to_loss(LossToLoss(), table(loss_0=[3.0, 2.8, 2.6], loss_1=[2.0, 1.9, 1.8]))
