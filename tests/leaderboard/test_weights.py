"""Weights of scores searched by the engine of mixtures: a truth that was planted is found again."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.leaderboard.weights import Weights, WeightSearch, searched
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.gp_sqrt import GpSqrt

DOCUMENTS, KEPT = 3_000, 300


def planted(truth: list[float]) -> tuple[tuple[str, ...], Callable[[Weights], set[int]], Callable[[Weights], float]]:
    """Scores of documents, what weights select of them, and a proxy's loss: lower with more of the truth, with noise."""
    drawn = np.random.Generator(np.random.Philox(0))
    names = tuple(f"s{number}" for number in range(len(truth)))
    scores_ND = drawn.standard_normal((DOCUMENTS, len(truth)))
    worth_N = scores_ND @ np.array(truth)

    def select(weights: Weights) -> set[int]:
        sums_N = scores_ND @ np.array([weights[name] for name in names])
        return {*np.argsort(-sums_N)[:KEPT].tolist()}

    def measure(weights: Weights) -> float:
        return float(2 - 0.2 * worth_N[[*select(weights)]].mean() + 0.005 * drawn.standard_normal())

    return names, select, measure


def shared(truth: list[float], search: WeightSearch) -> float:
    """Return how much of what the truth selects is selected by the weights that the search ships."""
    names, select, measure = planted(truth)
    found = searched(search.model_copy(update={"scores": names}), measure)
    assert len(found.runs) == search.num_runs
    return len(select(found.weights) & select(dict(zip(names, truth, strict=True)))) / KEPT


def test_the_one_score_that_is_worth_something_is_found_whatever_its_sign() -> None:
    quick = {"num_runs": 12, "selection": Selection(zoo=(GpSqrt(),), num_folds=3)}
    assert shared([0, 1, 0], WeightSearch(scores=("a", "b"), **quick)) > 0.9
    signed = WeightSearch(scores=("a", "b"), signed=True, **quick | {"num_runs": 16})
    assert shared([-1, 0], signed) > 0.9


@pytest.mark.slow
def test_three_useful_scores_of_ten_are_found_with_64_proxies() -> None:
    assert shared([1, 1, 1, *[0] * 7], WeightSearch(scores=("a", "b"), num_runs=64)) >= 0.9
