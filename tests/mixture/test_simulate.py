"""Replays of a search against a truth that a table suggests."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.runs import Kind, Run, Runs
from tasks.mixture.simulate import Replay, free_problem, replay, truth_of
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.random_search import RandomSearch
from tests.mixture.simulated import Array

NATURAL = (0.1, 0.1, 0.8)
# Fourteen runs: natural and uniform with one other seed each, five mixtures, then four and three.
PARAMS = SearchParams(
    num_runs=14,
    num_noise_seeds=1,
    confirm=None,
    strategy=Default(num_first=5, batch=4),
    selection=Selection(zoo=(RidgeSqrt(),)),
)


def useless_last(weights_D: Array) -> Array:
    t_OD = np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.0], [0.4, 0.4, 0.05]])
    return np.asarray(1.5 + 0.5 * (0.1 + t_OD @ weights_D) ** -0.4)


DESIGN: list[Kind] = ["design"] * 14


def table(kinds: tuple[Kind, ...] = ("natural", "uniform", *DESIGN)) -> Runs:
    drawn = generator(0, "table").dirichlet(np.ones(3), len(kinds) - 2)
    weights = [NATURAL, (1 / 3, 1 / 3, 1 / 3), *map(tuple, drawn.tolist()), NATURAL]
    seeds = [*([0] * len(kinds)), 1]
    rows = []
    for number, (kind, mixture, seed) in enumerate(zip((*kinds, "repeat"), weights, seeds, strict=True)):
        bpb = useless_last(np.array(mixture)) + 0.01 * seed
        rows.append(Run(number, 0, kind, seed, 1, 1, 1, float(bpb.mean()), mixture, tuple(bpb.tolist())))
    return Runs(("a", "b", "c"), ("a", "b", "c"), "bits per byte", tuple(rows))


@pytest.fixture(scope="module")
def replayed() -> tuple[Replay, list[tuple[int, int]]]:
    runs, heard = table(), list[tuple[int, int]]()
    truth, _ = truth_of(PARAMS, runs, "runs.csv")
    problem = free_problem(PARAMS, runs, "runs.csv")
    return replay(PARAMS, problem, truth, 2, lambda done, total: heard.append((done, total))), heard


def test_the_truth_ranks_mixtures_as_the_table_and_knows_its_noise() -> None:
    truth, choice = truth_of(PARAMS, table(), "runs.csv")
    good, bad = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 1.0])
    assert truth.objective(good) < truth.objective(np.array(NATURAL)) < truth.objective(bad)
    assert truth.run_sd == choice.predictor.noise_sd
    assert np.hypot(truth.run_sd, truth.seed_sd) == pytest.approx(max(0.01 / 2**0.5, truth.run_sd))


def test_a_measurement_is_the_truth_plus_noise_that_the_same_seed_repeats() -> None:
    truth, _ = truth_of(PARAMS, table(), "runs.csv")
    truth = replace(truth, seed_sd=0.5, run_sd=0.001)
    one, other = np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.2, 0.6])
    assert truth.measure(one, 0, 7).tolist() == truth.measure(one, 0, 7).tolist()
    assert abs(float(np.mean(truth.measure(one, 1, 7) - truth.measure(one, 0, 7)))) > 0.01
    shifts = [float(np.mean(truth.measure(w, 0, 7))) - truth.objective(w) for w in (one, other)]
    assert shifts[0] == pytest.approx(shifts[1], abs=0.01) and abs(shifts[0]) > 0.01
    silent = replace(truth, seed_sd=0.0, run_sd=0.0)
    assert float(silent.measure(one, 0, 7).mean()) == pytest.approx(truth.objective(one))


def test_every_strategy_is_judged_after_each_round_and_no_regret_is_negative(
    replayed: tuple[Replay, list[tuple[int, int]]],
) -> None:
    result, heard = replayed
    keys = {(point.strategy, point.runs) for point in result.points}
    assert keys == {("default", 7), ("default", 11), ("default", 14), ("random_search", 14)}
    assert all(len(result.regrets(name, runs)) == 2 for name, runs in keys)
    assert min(min(result.regrets(name, runs)) for name, runs in keys) >= 0
    assert set(result.baselines) == {"natural", "uniform", "unimax"} and min(result.baselines.values()) >= 0
    assert heard == [(number, 8) for number in range(1, 9)]


def test_a_search_ends_far_better_than_natural_where_natural_is_mostly_useless(
    replayed: tuple[Replay, list[tuple[int, int]]],
) -> None:
    result, _ = replayed
    natural = result.natural - result.best
    assert natural > 0.1
    assert max(result.regrets("default", 14)) < 0.3 * natural
    assert sum(result.regrets("default", 14)) < sum(result.regrets("random_search", 14))


def test_a_replay_is_the_same_every_time_and_streams_differ(replayed: tuple[Replay, list[tuple[int, int]]]) -> None:
    runs = table()
    truth, _ = truth_of(PARAMS, runs, "runs.csv")
    again = replay(PARAMS, free_problem(PARAMS, runs, "runs.csv"), truth, 2, lambda done, total: None)
    assert again == replayed[0]
    assert truth.measure(np.array(NATURAL), 0, 0).tolist() != truth.measure(np.array(NATURAL), 0, 1).tolist()


def test_where_random_search_is_the_strategy_it_is_replayed_once() -> None:
    runs = table()
    params = PARAMS.model_copy(update={"strategy": RandomSearch()})
    truth, _ = truth_of(params, runs, "runs.csv")
    result = replay(params, free_problem(params, runs, "runs.csv"), truth, 1, lambda done, total: None)
    assert [(point.strategy, point.runs) for point in result.points] == [("random_search", 14)]


def test_without_caps_any_mixture_is_allowed_and_natural_is_the_tables() -> None:
    problem = free_problem(PARAMS, table(), "runs.csv")
    assert problem.natural == pytest.approx(NATURAL)
    assert problem.allows(np.eye(3)).all()
    with pytest.raises(DataError, match="no run has kind `natural`"):
        free_problem(PARAMS, table(("design", "uniform", *DESIGN)), "runs.csv")


def test_the_objective_of_the_params_is_the_one_that_counts() -> None:
    only_a = PARAMS.model_copy(update={"objective": {"a": 1.0}})
    truth, _ = truth_of(only_a, table(), "runs.csv")
    more_a, more_b = np.array([0.6, 0.2, 0.2]), np.array([0.2, 0.6, 0.2])
    assert truth.objective(more_a) < truth.objective(more_b) - 0.02
    with pytest.raises(ConfigError, match="do not exist"):
        truth_of(PARAMS.model_copy(update={"objective": {"z": 1.0}}), table(), "runs.csv")
