"""Replays of a search against a truth that a table suggests."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.rng import generator
from tasks.mixture.config import SearchParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.problem import Constraint
from tasks.mixture.runs import ProxyRun, RunKind, RunTable
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


DESIGN: list[RunKind] = ["design"] * 14


def table(kinds: tuple[RunKind, ...] = ("natural", "uniform", *DESIGN)) -> RunTable:
    drawn = generator(0, "table").dirichlet(np.ones(3), len(kinds) - 2)
    weights = [NATURAL, (1 / 3, 1 / 3, 1 / 3), *map(tuple, drawn.tolist()), NATURAL]
    seeds = [*([0] * len(kinds)), 1]
    rows = []
    for number, (kind, mixture, seed) in enumerate(zip((*kinds, "repeat"), weights, seeds, strict=True)):
        bpb = useless_last(np.array(mixture)) + 0.01 * seed
        rows.append(ProxyRun(number, 0, kind, seed, 1, 1, 1, float(bpb.mean()), mixture, tuple(bpb.tolist())))
    return RunTable(("a", "b", "c"), ("a", "b", "c"), "bits per byte", tuple(rows))


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


def shifted_table(shift: float = 0.5, sets: tuple[str, str, str] = ("a", "b", "c")) -> RunTable:
    """The table, with uniform repeated as well: seed 1 shifts both, and natural by .001 more."""
    runs = table()
    natural, uniform = runs.rows[-1], runs.rows[1]
    rows = [
        replace(row, run=number, kind="repeat", seed=1, losses=tuple(loss + shift + own for loss in row.losses))
        for number, (row, own) in enumerate(((natural, 0.001 - 0.01), (uniform, 0.0)), start=natural.run)
    ]
    # What the search itself called its objective is not asked for.
    rows = [replace(row, objective=9.0) for row in (*runs.rows[:-1], *rows)]
    return replace(runs, sets=sets, rows=tuple(rows))


def test_what_a_seed_shifts_all_mixtures_by_is_the_truths_shift_and_no_noise_of_its_runs() -> None:
    truth, still = (truth_of(PARAMS, shifted_table(shift), "runs.csv")[0] for shift in (0.5, 0.0))
    assert truth.run_sd == pytest.approx(still.run_sd) and still.seed_sd == 0.0
    # Of two values .501 and two .5 apart: sqrt((.501^2 + .5^2) / 4).
    assert np.hypot(truth.run_sd, truth.seed_sd) == pytest.approx(np.sqrt((0.501**2 + 0.5**2) / 4))
    larger = (
        *shifted_table().rows,
        *(replace(row, run=99, tokens=9, seed=seed) for seed, row in enumerate(table().rows)),
    )
    assert truth_of(PARAMS, replace(shifted_table(), rows=larger), "runs.csv")[0].seed_sd == truth.seed_sd


def test_a_held_out_set_called_mean_is_one_of_several() -> None:
    named, _ = truth_of(PARAMS, shifted_table(sets=("mean", "b", "c")), "runs.csv")
    truth, _ = truth_of(PARAMS, shifted_table(), "runs.csv")
    assert named.objective(np.array(NATURAL)) == truth.objective(np.array(NATURAL))


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


def test_several_objectives_count_by_their_mean() -> None:
    two = PARAMS.model_copy(update={"objectives": {"first": {"a": 1.0}, "second": {"a": 1.0, "b": 3.0}}})
    assert free_problem(two, table(), "runs.csv").objective == pytest.approx((0.625, 0.375, 0.0))
    assert truth_of(two, table(), "runs.csv")[0].objective_S == pytest.approx([0.625, 0.375, 0.0])


def test_a_domain_that_is_only_measured_on_has_no_weight_in_what_is_replayed() -> None:
    params = PARAMS.model_copy(update={"held_out_only": ("c",)})
    problem = free_problem(params, table(), "runs.csv")
    assert [domain.trainable for domain in problem.domains] == [True, True, False]
    # Natural is .1, .1, .8 in the table: what c leaves goes to the others.
    assert problem.natural == pytest.approx((0.5, 0.5, 0.0))
    assert problem.allows(np.array([[0.3, 0.7, 0.0], [0.3, 0.6, 0.1]])).tolist() == [True, False]
    assert problem.objective == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_what_held_out_sets_may_lose_limits_what_is_replayed() -> None:
    params = PARAMS.model_copy(update={"max_increase": {"c": 0.02, "a": 0.0}})
    assert free_problem(params, table(), "runs.csv").constraints == (Constraint(2, 0.02), Constraint(0, 0.0))
    assert free_problem(PARAMS, table(), "runs.csv").constraints == ()


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"objectives": {"first": {"a": 1.0}, "second": {"z": 1.0}}}, "do not exist"),
        ({"held_out_only": ("z",)}, r"search\.held_out_only: 1 of 1 domains do not exist; first: z"),
        ({"max_increase": {"a": 0.0, "z": 0.0}}, r"search\.max_increase: 1 of 2 domains do not exist; first: z"),
    ],
)
def test_a_name_that_the_table_does_not_have_is_refused(update: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        free_problem(PARAMS.model_copy(update=update), table(), "runs.csv")
