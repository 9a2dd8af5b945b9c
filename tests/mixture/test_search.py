"""A search from first proxies to recipe, on landscapes that are known: strategy, decision and forecast together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.decide import NATURAL, PREDICTED, DecisionParams, decide
from tasks.mixture.forecast import forecast
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.search import counts, fitted
from tasks.mixture.state import State
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.strategies.local_search import ascend
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.transfer import Size
from tasks.training.params import demo_full
from tests.mixture.simulated import VOCABULARY, Array, bits_per_byte, problem_with, search

# Natural is dominated by the last domain, which helps nobody, not even itself.
SKEWED = (200, 300, 200, 3300)
# A small zoo with the law in it: what is tested is what becomes of its predictions.
PARAMS = SearchParams(selection=Selection(zoo=(LawGp(), RidgeSqrt()), num_folds=4)).aimed_at(demo_full())


def useless_last(weights_D: Array) -> Array:
    """Each domain learns from its own share and a little from the others, the last one from nothing."""
    t_OD = np.full((4, 4), 0.2) + 0.8 * np.eye(4)
    t_OD[:, 3] = 0.0
    t_OD[3] = 0.0
    return np.asarray(1.5 + 0.5 * (0.05 + t_OD @ weights_D) ** -0.3)


def flat(weights_D: Array) -> Array:
    """Domains that are random parts of one: every mixture is as good as any other."""
    return np.linspace(1.8, 2.2, len(weights_D))


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Path]:
    folder = tmp_path_factory.mktemp("search")
    return search(PARAMS, problem_with(SKEWED), useless_last, folder), folder


def proposals_of(state: State, params: StrategyParams, count: int) -> tuple[Proposal, ...]:
    return method(params).propose(params, state.problem, Evidence(state.paired, fitted(state).predictor), 1, count, 3)


def best_objective(problem: Any) -> float:
    def score(weights_MD: Array) -> Array:
        return -np.array([useless_last(row).mean() for row in weights_MD])

    return float(-score(ascend(score, problem.uniform[None], problem.caps_D))[0])


def test_a_search_measures_as_many_proxies_as_it_says_with_natural_and_uniform_first(found: tuple[State, Path]) -> None:
    state, _ = found
    kinds = [row.kind for row in state.runs.rows]
    assert SearchParams().num_runs - 3 <= len(kinds) <= SearchParams().num_runs == 36
    assert kinds[:3] == ["natural", "uniform", "unimax"] and kinds.count("repeat") == 4
    # Natural and the best measured with three fresh seeds, and at most two candidates; natural had two of the seeds.
    assert kinds.count("confirm") <= 10
    planned = counts(SearchParams(), state.problem)
    assert [[row.round for row in state.paired.rows].count(number) for number in range(len(planned))] == list(planned)
    assert len({row.weights for row in state.paired.rows}) == sum(planned)


def test_a_useless_domain_is_cut_and_most_of_the_possible_gain_is_found(found: tuple[State, Path]) -> None:
    state, folder = found
    recipe = read(folder, "recipe.json")
    weights_D = np.array(recipe["stages"][0]["weights"])
    natural = float(useless_last(state.problem.natural).mean())
    possible = natural - best_objective(state.problem)
    assert weights_D[3] <= 0.1 < state.problem.natural[3]
    assert natural - useless_last(weights_D).mean() >= 0.9 * possible > 0.05


def test_the_forecast_holds_the_true_gain_and_says_what_it_speaks_of(found: tuple[State, Path]) -> None:
    state, folder = found
    told, recipe = read(folder, "forecast.json"), read(folder, "recipe.json")
    weights_D = np.array(recipe["stages"][0]["weights"])
    gain = float(useless_last(state.problem.natural).mean() - useless_last(weights_D).mean())
    # One interval of 90 % need not hold it to the last digit.
    assert told["lower"] - 0.002 <= gain <= told["upper"] + 0.002
    assert told["status"] == "one size"
    assert f"{state.size.model_parameters:,} parameters trained on {state.size.tokens:,} tokens" in told["statement"]
    assert "untransferred" in told["statement"]
    per_domain = told["per_domain"]
    assert np.mean([value["natural"] for value in per_domain.values()]) == pytest.approx(told["predicted_natural"])
    assert per_domain["d0"]["searched"] < per_domain["d0"]["natural"]


def test_recipe_and_candidates_keep_to_the_seam(found: tuple[State, Path]) -> None:
    state, folder = found
    recipe, candidates = read(folder, "recipe.json"), read(folder, "candidates.json")
    assert recipe["domains"] == ["d0", "d1", "d2", "d3"] and recipe["max_epochs"] == 4.0
    assert recipe["stages"][0]["tokens"] == state.params.target.tokens
    assert recipe["baselines"]["natural"] == [0.05, 0.075, 0.05, 0.825]
    assert (np.array(recipe["stages"][0]["weights"]) <= state.problem.caps_D + 1e-12).all()
    sources = {candidate["source"] for candidate in candidates["considered"]}
    assert {NATURAL, PREDICTED, candidates["decision"]["source"]} <= sources
    assert [value["round"] for value in candidates["rounds"]] == list(range(1, len(state.rounds) + 1))
    assert len(candidates["held_out"]) == len(state.paired.rows)


def test_a_search_is_the_same_every_time(found: tuple[State, Path], tmp_path: Path) -> None:
    again = search(PARAMS, problem_with(SKEWED), useless_last, tmp_path)
    assert again.runs == found[0].runs
    for name in ("runs.csv", "recipe.json", "forecast.json", "candidates.json"):
        assert (tmp_path / name).read_bytes() == (found[1] / name).read_bytes()


@pytest.mark.parametrize("params", [Default(), RandomSearch()], ids=lambda params: params.kind)
def test_proposals_are_new_different_and_under_the_caps(found: tuple[State, Path], params: Default) -> None:
    state, _ = found
    measured_RD, proposals = state.paired.weights_RD(), proposals_of(state, params, 5)
    everything = [tuple(row) for row in np.vstack([measured_RD, [p.weights for p in proposals]]).round(9)]
    assert len(proposals) == 5 and len(set(everything)) == len(everything)
    assert state.problem.allows(np.array([p.weights for p in proposals])).all()
    assert proposals == proposals_of(state, params, 5)


def test_expected_improvement_finds_better_mixtures_than_random_search(found: tuple[State, Path]) -> None:
    state, _ = found

    def mean_of(params: Default | RandomSearch) -> float:
        proposals = proposals_of(state, params, 4)
        return float(np.mean([useless_last(np.array(p.weights)).mean() for p in proposals]))

    assert mean_of(Default(explored_per_round=0)) < mean_of(RandomSearch()) - 0.05


def test_exploration_is_for_mixtures_that_could_still_be_good_not_for_worthless_corners(
    found: tuple[State, Path],
) -> None:
    state, _ = found
    predictor = fitted(state).predictor
    proposals = proposals_of(state, Default(explored_per_round=2), 3)
    assert [p.reason for p in proposals] == ["improvement", "exploration", "exploration"]
    corners_M = predictor.mean(np.eye(4))
    assert max(p.predicted for p in proposals) < corners_M.min()


def test_a_batch_spreads_by_itself(found: tuple[State, Path]) -> None:
    """The incumbent's neighbours share its uncertainty: six proposals are not six times the same."""
    state, _ = found
    for round_ in state.rounds:
        weights_MD = np.array([proposal.weights for proposal in round_.proposals])
        gaps_MM = np.abs(weights_MD[:, None] - weights_MD[None]).max(axis=2) + np.eye(len(weights_MD))
        assert gaps_MM.min() >= Default().min_step - 1e-9
        assert np.median(gaps_MM) > 0.05


def test_the_local_optimiser_finds_the_corner_that_caps_leave() -> None:
    caps_D = np.array([0.5, 0.3, 1.0, 1.0])
    (best_D,) = ascend(lambda weights_MD: weights_MD @ np.array([4.0, 3.0, 2.0, 1.0]), np.full((1, 4), 0.25), caps_D)
    assert best_D == pytest.approx([0.5, 0.3, 0.2, 0.0])


@pytest.mark.parametrize("repeats", [6, pytest.param(12, marks=pytest.mark.slow)])
def test_where_nothing_matters_natural_is_kept_most_of_the_time_and_the_forecast_promises_little(
    tmp_path: Path, repeats: int
) -> None:
    params = SearchParams(
        num_runs=26, strategy=Default(batch=100), selection=Selection(zoo=(GpSqrt(), RidgeSqrt()))
    ).aimed_at(demo_full())
    kept = 0
    for number in range(repeats):
        search(params, problem_with(SKEWED), flat, tmp_path, name=f"flat {number}")
        told = read(tmp_path, "forecast.json")
        kept += read(tmp_path, "candidates.json")["decision"]["source"] == NATURAL
        assert told["gain_over_natural"] < 0.01
    assert kept >= repeats / 2


def test_natural_says_that_it_was_kept(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"num_runs": 24, "decision": DecisionParams(caution=50.0), "confirm": None})
    search(params, problem_with(SKEWED), flat, tmp_path)
    told = read(tmp_path, "forecast.json")
    assert (told["gain_over_natural"], told["lower"], told["upper"]) == (0.0, 0.0, 0.0)
    assert "natural is kept" in told["statement"]
    assert read(tmp_path, "recipe.json")["stages"][0]["weights"] == pytest.approx([0.05, 0.075, 0.05, 0.825])


def test_a_prediction_that_is_not_credible_leaves_the_best_measured(found: tuple[State, Path]) -> None:
    state, _ = found
    predictor = fitted(state).predictor
    pick = decide(DecisionParams(caution=1.0), state.problem, predictor, state.paired)
    beyond = next(candidate for candidate in pick.considered if candidate.source == PREDICTED)
    measured = [candidate for candidate in pick.considered if candidate.measured is not None]
    if pick.chosen.source == PREDICTED:
        gain_M, sd_M = predictor.gain(np.array([beyond.weights]), np.array(measured[0].weights))
        assert gain_M[0] > sd_M[0]
    doubtful = decide(DecisionParams(caution=3.0), state.problem, predictor, state.paired)
    assert doubtful.chosen.measured is not None
    assert doubtful.chosen.source == "measured"


def test_a_measured_mixture_beyond_the_caps_of_the_target_is_no_candidate(found: tuple[State, Path]) -> None:
    state, _ = found
    # The same domains and runs, but a target four times as long: a domain of 20 samples may have a fifth of it.
    tight = replace(state.problem, target_samples=400)
    assert tight.caps_D[0] == pytest.approx(0.2)
    pick = decide(DecisionParams(), tight, fitted(state).predictor, state.paired)
    beyond = [row for row in state.paired.rows if not tight.allows(np.array([row.weights]))[0]]
    assert beyond
    assert not {row.run for row in beyond} & {candidate.run for candidate in pick.considered}
    assert all(tight.allows(np.array([candidate.weights]))[0] for candidate in pick.considered)


def test_one_lucky_run_does_not_become_the_recipe() -> None:
    """Scored by what the predictor makes of all runs, not by its own result."""
    problem = problem_with((1000, 1000, 1000))
    weights_RD = generator(3, "weights").dirichlet(np.ones(3), 14).round(4)
    weights_RD[:, 2] = 1 - weights_RD[:, 0] - weights_RD[:, 1]
    weights_RD[0] = problem.natural
    rows = []
    for number, row in enumerate(weights_RD):
        bpb = bits_per_byte(flat, tuple(row), 0, "lucky")
        if number == 5:
            bpb = tuple(value - 0.02 for value in bpb)
        weights = tuple(row.tolist())
        rows.append(ProxyRun(number, 0, "design", 0, 1000, 2048, 1, float(np.mean(bpb)), weights, bpb))
    runs = RunTable(problem.names, problem.set_names, "bits per byte", tuple(rows))
    params = SearchParams(selection=Selection(zoo=(GpSqrt(), LawGp()))).aimed_at(demo_full())
    size = State(params, problem, VOCABULARY, "", runs).size
    rows = [replace(row, model_parameters=size.model_parameters, tokens=size.tokens) for row in rows]
    state = State(params, problem, VOCABULARY, "", replace(runs, rows=tuple(rows)))
    predictor = fitted(state).predictor
    pick = decide(DecisionParams(), problem, predictor, state.runs)
    told = forecast(
        problem, predictor, pick, state.runs, size=Size(1, 1), noise_sd=None, other_text=(0.02,) * len(problem.names)
    )
    assert told.gain_over_natural < 0.01
    assert min(rows, key=lambda row: row.objective).run == 5
    assert pick.chosen.gain < 0.5 * (rows[0].objective - rows[5].objective)
