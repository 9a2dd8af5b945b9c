"""What a plan says of cost and of the effect that could be told from noise."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.evaluation.compare import paired_interval
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.decay import DecayStage
from tasks.mixture.noise import (
    Noise,
    confirmable,
    detectable,
    difference_noise,
    dunnett_quantile,
    penalty_of_noise,
    run_noise,
    seeds_needed,
    sizings,
)
from tasks.mixture.plan import Speeds, outlook, parts, total
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.search import design_round, noise_round
from tasks.mixture.state import State
from tasks.mixture.strategies.baselines import Natural
from tasks.mixture.transfer import TransferParams
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.params import TrainParams, demo_full


def runs_of(values: list[tuple[float, int, float]]) -> RunTable:
    """Rows of (weight of the first domain, seed, objective)."""
    rows = [
        ProxyRun(number, 0, "design", seed, 1, 1, 1, value, (first, 1 - first), (value, value))
        for number, (first, seed, value) in enumerate(values)
    ]
    return RunTable(("a", "b"), ("a", "b"), "bits per byte", tuple(rows))


def test_costs_are_the_runs_of_the_config_times_the_cost_of_one() -> None:
    search, train = SearchParams().aimed_at(demo_full()), TrainParams()
    *proxies, full = parts(search, train, 4096)
    assert {part.tokens for part in proxies} == {search.proxy.num_tokens}
    assert total(proxies)["runs"] == search.num_runs
    assert total(proxies)["all_flops"] == search.num_runs * num_flops(search.proxy, 4096)
    assert (full.runs, full.tokens) == (9, train.training.num_tokens)
    assert full.parameters == num_parameters(train.training.model, 4096)[0]
    assert total(proxies)["hours"] is None and full.hours is None


def test_every_purpose_has_its_own_line() -> None:
    search = SearchParams(num_runs=40, num_noise_seeds=2).aimed_at(demo_full())
    by_name = {part.name: part.runs for part in parts(search, TrainParams(), 4096)}
    # Three baselines, two of them twice more; two candidates and the best measured thrice, natural once more.
    assert (by_name["baselines and noise"], by_name["confirmation"]) == (7, 10)
    assert by_name["first mixtures"] + by_name["rounds"] == 40 - 17
    without = parts(search.model_copy(update={"confirm": None}), TrainParams(), 4096)
    assert "confirmation" not in {part.name for part in without} and total(without[:-1])["runs"] == 40
    second = TransferParams(training=demo_full(), num_mixtures=6, num_seeds=2)
    *_, sent, _ = parts(search.model_copy(update={"transfer": second}), TrainParams(), 4096)
    assert (sent.name, sent.runs, sent.tokens) == ("second size", 12, demo_full().num_tokens)
    staged = search.model_copy(update={"stages": DecayStage(share=0.25, num_seeds=4)})
    *_, last, _ = parts(staged, TrainParams(), 4096)
    # Each seed: three quarters of a trunk, and a quarter for staying and for each of three domains.
    assert (last.name, last.runs) == ("last stage", 7)


def test_a_strategy_that_measures_nothing_costs_its_baselines_alone() -> None:
    names = [
        part.name
        for part in parts(SearchParams(strategy=Natural(), confirm=None).aimed_at(demo_full()), TrainParams(), 4096)
    ]
    assert names == ["baselines and noise", "training"]


def test_what_is_planned_is_what_a_search_asks_for() -> None:
    tokens = (300_000, 2_000_000, 9_000_000)
    domains = tuple(SearchedDomain(f"d{k}", count, count, count // 128, count // 128) for k, count in enumerate(tokens))
    problem = Problem(domains, (1 / 3,) * 3, 4800, 1200, 4.0)
    search = SearchParams(num_runs=40).aimed_at(demo_full())
    planned = {part.name: part.runs for part in parts(search, TrainParams(), 4096, problem=problem)}
    asked = noise_round(search, problem)
    assert len(asked) == planned["baselines and noise"]
    rows = [
        ProxyRun(
            number, 0, ask.kind, ask.seed, 1, search.proxy.num_tokens, 1, 2.0 + number, ask.weights, (2.0 + number,) * 3
        )
        for number, ask in enumerate(asked)
    ]
    state = State(search, problem, 4096, "", RunTable(problem.names, problem.names, "bits per byte", tuple(rows)))
    rows = [replace(row, model_parameters=state.size.model_parameters) for row in rows]
    state = replace(state, runs=replace(state.runs, rows=tuple(rows)))
    assert len(design_round(state)) == planned["first mixtures"]


def test_hours_count_batches_one_after_another_and_runs_at_the_same_time() -> None:
    search, train = SearchParams(num_runs=40).aimed_at(demo_full()), TrainParams()
    speeds = Speeds(proxy=search.proxy.num_tokens / 3600)
    *proxies, full = parts(search, train, 4096, speeds=speeds)
    assert total(proxies)["hours"] == pytest.approx(40) and full.hours is None
    by_name = {part.name: part for part in parts(search, train, 4096, workers=5, speeds=speeds)}
    assert by_name["baselines and noise"].hours == pytest.approx(2)  # 7 runs by 5 at a time
    assert by_name["confirmation"].hours == pytest.approx(2)
    rounds = by_name["rounds"]
    assert rounds.turns >= -(-rounds.runs // 5) and rounds.hours == pytest.approx(rounds.turns)


def test_the_detectable_gain_is_claimed_in_four_of_five_simulated_evaluations() -> None:
    effect = detectable(Noise(0.03, "measured"), 4, 0.95)
    assert effect is not None
    differences = effect.gain + 0.03 * generator(0, "power").standard_normal((4000, 4))
    claimed = np.mean([paired_interval(row, 0.95).lower > 0 for row in differences])
    assert claimed == pytest.approx(0.8, abs=0.02)


def test_two_seeds_can_claim_nothing() -> None:
    assert detectable(Noise(0.03, "measured"), 2, 0.95) is None
    assert detectable(Noise(0.03, "measured"), 3, 0.95) is not None


def test_noise_is_unknown_without_repeats_and_a_bound_when_one_mixture_was_repeated() -> None:
    assert difference_noise(runs_of([(0.1, 0, 1.0), (0.2, 0, 2.0)])) is None
    bounded = difference_noise(runs_of([(0.1, 0, 1.0), (0.2, 0, 2.0), (0.1, 1, 1.2)]))
    assert bounded == Noise(pytest.approx(0.2), "bounded", 1)  # type: ignore[arg-type]


def test_what_seeds_shift_all_mixtures_by_is_no_noise_of_a_difference() -> None:
    shifts, stream = [0.0, 0.5, -0.4, 0.2, 0.9, -0.7], generator(0, "noise")
    values = [
        (first, seed, first + shift + 0.01 * float(stream.standard_normal()))
        for first in (0.1, 0.2, 0.3, 0.4)
        for seed, shift in enumerate(shifts)
    ]
    noise = difference_noise(runs_of(values))
    assert noise is not None and noise.known == "measured"
    assert noise.sd == pytest.approx(2**0.5 * 0.01, rel=0.4)
    assert noise.degrees_of_freedom == 3 * 5


def test_the_interval_of_the_noise_holds_the_truth_nine_times_in_ten() -> None:
    inside = 0
    for number in range(500):
        stream = generator(number, "noise interval")
        values = [(first, seed, float(stream.standard_normal())) for first in (0.1, 0.2, 0.3) for seed in range(3)]
        noise = difference_noise(runs_of(values))
        assert noise is not None and noise.degrees_of_freedom == 4
        interval = noise.interval(0.9)
        assert interval is not None
        inside += interval[0] <= 2**0.5 <= interval[1]
    assert inside / 500 == pytest.approx(0.9, abs=0.04)


def test_the_gain_a_confirmation_can_find_is_claimed_in_four_of_five_simulated_ones() -> None:
    effect = confirmable(Noise(0.03, "measured"), 4, 3, 0.9)
    assert effect is not None
    own = 0.03 / 2**0.5 * generator(0, "confirmable").standard_normal((4000, 4, 3))
    own[:, 1] -= effect.gain
    mean = own.mean(axis=2)
    rest = own - mean[..., None] - own.mean(axis=1, keepdims=True) + own.mean(axis=(1, 2))[:, None, None]
    error = ((rest**2).sum(axis=(1, 2)) / 6 * 2 / 3) ** 0.5
    claimed = np.mean(mean[:, 0] - mean[:, 1] > dunnett_quantile(3, 6, 0.9) * error)
    assert claimed == pytest.approx(0.8, abs=0.02)
    assert confirmable(Noise(0.03, "measured"), 4, 1, 0.9) is None


@pytest.mark.parametrize("mixtures", [0, 4])
def test_the_seeds_that_are_needed_find_the_gain_and_one_less_do_not(mixtures: int) -> None:
    noise = Noise(0.02, "measured")
    for gain in (0.01, 0.02, 0.05):
        seeds = seeds_needed(noise, gain, 0.9, mixtures=mixtures)
        assert seeds is not None
        found = [confirmable(noise, 4, n, 0.9) if mixtures else detectable(noise, n, 0.9) for n in (seeds, seeds - 1)]
        assert found[0] is not None and found[0].gain <= gain
        assert found[1] is None or found[1].gain > gain
    assert seeds_needed(noise, 1e-5, 0.9, mixtures=mixtures) is None


def sized(tokens: int, sd: float, first: int) -> list[ProxyRun]:
    """Three mixtures with ten seeds each, at one size."""
    values = np.arange(3)[:, None] + sd * generator(tokens, "sized").standard_normal((3, 10))
    return [
        ProxyRun(
            first + 10 * k + seed, 0, "repeat", seed, 1, tokens, 1, float(values[k, seed]), (k / 4, 1 - k / 4), (0.0,)
        )
        for k in range(3)
        for seed in range(10)
    ]


def test_tokens_per_run_are_chosen_among_sizes_that_were_measured_and_noise_is_not_pooled_over_them() -> None:
    runs = RunTable(("a", "b"), ("x",), "bits per byte", (*sized(1000, 0.02, 0), *sized(8000, 0.002, 100)))
    small, large = (difference_noise(runs.at(1, tokens)) for tokens in (1000, 8000))
    assert small is not None and large is not None and small.sd > 5 * large.sd
    found = sizings(runs, 0.02, 0.95)
    assert [each.tokens for each in found] == [1000, 8000]
    # Eight times the tokens pay only where a gain asks for more than eight times the seeds.
    assert [each.tokens for each in sizings(runs, 0.004, 0.95)] == [8000, 1000]
    noise = run_noise(runs.at(1, 1000))
    assert noise == pytest.approx(small.sd / 2**0.5)


def test_the_outlook_is_of_the_proxies_own_size_where_that_was_measured() -> None:
    search, train = SearchParams(confirm=ConfirmParams(num_seeds=3)).aimed_at(demo_full()), TrainParams()
    size = num_parameters(search.proxy.model, 4096)[0], search.proxy.num_tokens
    own = [replace(row, model_parameters=size[0], tokens=size[1]) for row in sized(1000, 0.02, 0)]
    runs = RunTable(("a", "b"), ("x",), "bits per byte", (*own, *sized(8000, 0.002, 100)))
    found = outlook(search, train, 0.95, 4096, runs, target_gain=0.02)
    assert found.of_proxies and found.noise == difference_noise(runs.at(*size)) and len(found.sizings) == 2
    assert found.confirmed is not None and found.evaluated is not None and found.confirm_seeds is not None
    assert found.to_json()["confirmed"]["gain"] == found.confirmed.gain
    other = outlook(search, train, 0.95, 4096, replace(runs, rows=runs.rows[30:]))
    assert not other.of_proxies and other.noise is not None and other.train_seeds is None
    assert outlook(search, train, 0.95, 4096, None).noise is None


def test_the_penalty_grows_with_noise_and_falls_with_runs_and_is_none_where_noise_is_unknown() -> None:
    assert penalty_of_noise(0.02, 40) == pytest.approx(2 * penalty_of_noise(0.02, 160))
    assert penalty_of_noise(0.02, 40) == pytest.approx(2 * penalty_of_noise(0.01, 40))
    assert penalty_of_noise(None, 40) == 0.0
