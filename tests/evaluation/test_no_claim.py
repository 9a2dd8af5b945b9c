"""Domains that are random parts of one: whatever the search picks, the evaluation says "no claim"."""

from pathlib import Path

import numpy as np
import pytest

from tasks.evaluation.decide import decision
from tasks.mixture.config import SearchParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.published import MIXTURES, Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.training.params import demo_full
from tests.evaluation.made import measured
from tests.mixture.simulated import Array, bits_per_byte, problem_with, search

# A small zoo: what is tested is what becomes of its choice.
PARAMS = SearchParams(selection=Selection(zoo=(GpSqrt(), RidgeSqrt()), num_folds=4)).aimed_at(demo_full())


def parts_of_one(weights_D: Array) -> Array:
    return np.full(len(weights_D), 2.0)


@pytest.mark.parametrize("repeats", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_random_parts_of_one_domain_give_a_claim_in_at_most_one_search(tmp_path: Path, repeats: int) -> None:
    """The real rounds, fits, proposals, decision and comparison; only the proxies and models are simulated."""
    problem = problem_with((200, 300, 500, 800, 1200))
    claims = kept = 0
    for number in range(repeats):
        name = f"repeat {number}"
        search(PARAMS.model_copy(update={"seed": 100 * number}), problem, parts_of_one, tmp_path, name)
        recipe, forecast = Recipe.read(tmp_path), Forecast.read(tmp_path)
        models = [
            measured(mixture, seed, bits_per_byte(parts_of_one, weights, 100 * number + seed, f"{name} test"))
            for mixture, weights in ((mixture, recipe.weights(mixture)) for mixture in MIXTURES)
            for seed in range(3)
        ]
        value = decision(models, recipe, forecast, confidence=0.95, model_parameters=1000, tokens=2048)
        claims += value.claim
        kept += "the search kept natural" in value.statement
        assert value.forecast is None or value.forecast.predicted_gain < 0.01
    assert claims <= 1
    assert kept < repeats, "the comparison was never asked: this test would pass without it"
