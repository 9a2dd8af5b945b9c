"""The default on RegMix's published runs and on the truth simulated from them; `make bench` has all seeds and methods.

Protocol of the shared recipe: 64 of the 768 mixtures measured at 1M parameters, regret of the best of them; and the
ensemble of networks in `oracles/mixture_truth.npz`, caps 15 times natural, regret against its stored minimum.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.strategies import losses_of, noisy_losses, on_pool, regmix_problem, truth
from tasks.mixture.config import SearchParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import method
from tasks.mixture.trajectory import trajectory
from tasks.training.params import demo_full


def test_the_truth_is_the_stored_one(shared_data: Path) -> None:
    least_D, problem = truth(shared_data)["argmin_mean13"], regmix_problem(shared_data, np.full(13, 1 / 13))
    assert float(losses_of(shared_data, least_D[None]).mean()) == pytest.approx(float(truth(shared_data)["min_mean13"]))
    assert problem.natural == pytest.approx(truth(shared_data)["prior"], abs=1e-6)
    assert problem.caps_D == pytest.approx(truth(shared_data)["cap"], abs=1e-6)
    natural = float(losses_of(shared_data, problem.natural[None]).mean())
    assert natural - float(truth(shared_data)["min_mean13"]) == pytest.approx(0.129, abs=0.001)


@pytest.mark.parametrize("target", ["mean of 13", pytest.param("pile_cc", marks=pytest.mark.slow)])
def test_the_best_of_768_measured_mixtures_is_found_with_64(shared_data: Path, target: str) -> None:
    assert on_pool(shared_data, target, 0).regrets["best measured", 64] <= 0.002


def test_with_56_runs_what_is_shipped_is_far_better_than_natural(shared_data: Path) -> None:
    params = (
        SearchParams().aimed_at(demo_full()).model_copy(update={"selection": Selection(zoo=(LawGp(),), num_folds=4)})
    )
    problem, least = regmix_problem(shared_data, np.full(13, 1 / 13)), float(truth(shared_data)["min_mean13"])
    measure = partial(noisy_losses, shared_data, 0.01)
    *_, last = trajectory(Default(), params, problem, measure, 56, 0)
    chosen = method(Default()).finish(Default(), params.decision, last.problem, last.evidence, 0).chosen
    assert float(losses_of(shared_data, np.array([chosen.weights])).mean()) - least <= 0.09
