"""What a search can be asked for besides the default: several objectives, constraints, a second size, other strategies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.problem import Constraint, Problem
from tasks.mixture.search import counts, noise_round
from tasks.mixture.strategies.baselines import Natural, Uniform
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import StrategyParams
from tasks.mixture.strategies.mixing_laws import MixingLaws
from tasks.mixture.strategies.regmix import RegMix
from tasks.mixture.transfer import TransferParams
from tasks.training.config import TrainingConfig
from tasks.training.params import demo_full, demo_proxy
from tests.mixture.simulated import Array, problem_with, search

SKEWED = (200, 300, 200, 3300)
SMALL = Selection(zoo=(GpSqrt(), RidgeSqrt()), num_folds=4)
PARAMS = SearchParams(num_runs=26, selection=SMALL, strategy=Default(batch=4)).aimed_at(demo_full())


def own_share(weights_D: Array) -> Array:
    """Every domain learns from its own share and a little from the others."""
    t_OD = np.full((4, 4), 0.2) + 0.8 * np.eye(4)
    return np.asarray(1.5 + 0.5 * (0.05 + t_OD @ weights_D) ** -0.3)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def second_size() -> TransferParams:
    return TransferParams(training=demo_full(), num_mixtures=6, num_seeds=2)


def proxy_but(of_model: dict[str, Any] | None = None, **changed: Any) -> TransferParams:
    """The proxy's own training as a second size, but for what is named."""
    proxy = demo_proxy().model_dump()
    model = {**proxy["model"], **(of_model or {})}
    return TransferParams(training=TrainingConfig.model_validate({**proxy, "model": model, **changed}))


def test_several_objectives_are_searched_by_their_mean_and_shown_as_a_front(tmp_path: Path) -> None:
    objectives = {"first": {"d0": 1.0}, "last": {"d2": 1.0, "d3": 1.0}}
    params = PARAMS.model_copy(update={"objectives": objectives})
    problem = replace(problem_with(SKEWED), objective=(0.5, 0.0, 0.25, 0.25))
    state = search(params, problem, own_share, tmp_path)
    pareto = read(tmp_path, "candidates.json")["pareto"]
    assert pareto["objectives"] == ["first", "last"]
    assert len(pareto["points"]) == len(state.paired.rows)
    front = [point["values"] for point in pareto["points"] if point["front"]]
    assert 1 < len(front) < len(pareto["points"])
    for values in front:
        assert not any(one < values[0] and other < values[1] for one, other in front)


def test_a_constraint_holds_for_the_recipe_and_costs_some_of_the_gain(tmp_path: Path) -> None:
    only_first = replace(problem_with(SKEWED), objective=(1.0, 0.0, 0.0, 0.0))
    free = search(PARAMS, only_first, own_share, tmp_path)
    free_D = np.array(read(tmp_path, "recipe.json")["stages"][0]["weights"])
    held = replace(only_first, constraints=(Constraint(3, 0.02),))
    search(PARAMS, held, own_share, tmp_path)
    held_D = np.array(read(tmp_path, "recipe.json")["stages"][0]["weights"])
    increase = own_share(held_D)[3] - own_share(free.problem.natural)[3]
    assert own_share(free_D)[3] - own_share(free.problem.natural)[3] > 0.05
    assert increase <= 0.03
    assert own_share(free_D)[0] < own_share(held_D)[0] < own_share(free.problem.natural)[0]


def test_a_second_size_is_measured_and_its_verdict_stands_in_the_forecast(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"transfer": second_size()})
    state = search(params, problem_with(SKEWED), own_share, tmp_path)
    second = [row for row in state.runs.rows if row.tokens == demo_full().num_tokens]
    assert len(second) == 12 and {row.seed for row in second} == {0, 1}
    told, transfer = read(tmp_path, "forecast.json"), read(tmp_path, "candidates.json")["transfer"]
    # The landscape is the same at both sizes.
    assert told["status"] == transfer["verdict"] == "transfers" and transfer["overall"]["rho"] > 0.8
    assert len(told["sizes"]) == 2


@pytest.mark.parametrize(
    "strategy",
    [RegMix(num_draws=2000), Climb(num_draws=2000), MixingLaws(), Uniform(), Natural()],
    ids=lambda strategy: strategy.kind,
)
def test_every_strategy_ends_in_a_recipe_beside_the_baselines(tmp_path: Path, strategy: StrategyParams) -> None:
    params = PARAMS.model_copy(update={"strategy": strategy, "confirm": None})
    state = search(params, problem_with(SKEWED), own_share, tmp_path)
    recipe = read(tmp_path, "recipe.json")
    assert sum(recipe["stages"][0]["weights"]) == pytest.approx(1)
    assert set(recipe["baselines"]) == {"natural", "uniform", "unimax"}
    assert len(state.runs.rows) <= params.num_runs
    if strategy.kind in {"natural", "uniform"}:
        assert recipe["stages"][0]["weights"] == recipe["baselines"][strategy.kind]
        assert {row.kind for row in state.runs.rows} == {"natural", "uniform", "unimax", "repeat"}
    else:
        assert len(state.runs.rows) == params.num_runs


def test_a_confirmed_recipe_was_run_with_fresh_seeds_beside_natural(tmp_path: Path) -> None:
    state = search(PARAMS, problem_with(SKEWED), own_share, tmp_path)
    candidates, recipe = read(tmp_path, "candidates.json"), read(tmp_path, "recipe.json")
    weights = tuple(recipe["stages"][0]["weights"])
    assert {row.seed for row in state.runs.rows if row.weights == weights} >= {1, 2, 3}
    assert candidates["confirmation"]["statement"] in candidates["decision"]["reason"]
    # What judges a pick has no part in making it.
    assert not {"confirm", "transfer"} & {row.kind for row in state.paired.rows}


def test_a_budget_that_does_not_reach_is_refused_with_what_it_is_spent_on() -> None:
    problem: Problem = problem_with(SKEWED)
    assert sum(counts(PARAMS, problem)) + 4 + 10 == PARAMS.num_runs
    assert len(noise_round(PARAMS, problem)) == 3 + 4
    with pytest.raises(ConfigError, match=r"search\.num_runs: of 12 proxies 4 are baselines and repeats, 10 confirm"):
        counts(PARAMS.model_copy(update={"num_runs": 12}), problem)


def test_a_second_size_that_cannot_be_larger_than_the_proxies_is_refused_before_anything_is_measured() -> None:
    proxy = demo_proxy()
    with pytest.raises(ValueError, match=r"transfer\.training: model and num_tokens are the proxy's own"):
        SearchParams(transfer=proxy_but(optimizer={"learning_rate": 1e-3, "warmup_steps": 5}))
    smaller = (
        proxy_but(num_tokens=proxy.num_tokens // 2),
        proxy_but({"rope_base": 500.0}),  # as many parameters and tokens
        proxy_but({"hidden_size": 28}, num_tokens=2 * proxy.num_tokens),  # twice the tokens, under half the parameters
    )
    for second in smaller:
        with pytest.raises(ValueError, match=r"no more compute .* give it a larger model or more num_tokens"):
            SearchParams(transfer=second)


def test_a_second_size_that_some_vocabulary_makes_larger_is_left_to_the_search() -> None:
    proxy = demo_proxy()
    SearchParams(transfer=proxy_but(num_tokens=2 * proxy.num_tokens))
    SearchParams(transfer=proxy_but({"num_layers": 2}))
    # A wider but shallower model: more parameters with a large vocabulary, fewer with a small one.
    wider = {"hidden_size": 64, "intermediate_size": 8}
    SearchParams(transfer=proxy_but(wider))


def test_params_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="objective and objectives are both given"):
        SearchParams(objective={"a": 1.0}, objectives={"x": {"a": 1.0}, "y": {"b": 1.0}})
    with pytest.raises(ValueError, match="objectives names 1"):
        SearchParams(objectives={"x": {"a": 1.0}})
    with pytest.raises(ValueError, match="changed_domains without earlier_runs"):
        SearchParams(changed_domains=("a",))
    with pytest.raises(ValueError, match="under strategy default alone, not climb"):
        SearchParams(changed_domains=("a",), earlier_runs="runs.csv", strategy=Climb())
    with pytest.raises(ValueError, match="the proxy's own"):
        SearchParams(transfer=TransferParams(training=demo_proxy()))
    with pytest.raises(ValueError, match="too few to tell a difference"):
        ConfirmParams(num_candidates=1, num_seeds=2)
