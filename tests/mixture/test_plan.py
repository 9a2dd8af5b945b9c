"""What a plan says of cost and of the effect that could be told from noise."""

import numpy as np
import pytest

from tasks.core.rng import generator
from tasks.evaluation.compare import paired_interval
from tasks.mixture.config import SearchParams
from tasks.mixture.plan import Noise, detectable, difference_noise, parts
from tasks.mixture.runs import Run, Runs
from tasks.training.config import TrainParams, num_flops, num_parameters


def runs_of(values: list[tuple[float, int, float]]) -> Runs:
    """Rows of (weight of the first domain, seed, objective)."""
    rows = [
        Run(number, 0, "design", seed, 1, 1, 1, value, (first, 1 - first), (value, value))
        for number, (first, seed, value) in enumerate(values)
    ]
    return Runs(("a", "b"), tuple(rows))


def test_costs_are_the_runs_of_the_config_times_the_cost_of_one() -> None:
    search, train = SearchParams(), TrainParams()
    proxies, full = parts(search, train, 4096)
    assert (proxies.runs, proxies.tokens) == (24, search.proxy.num_tokens)
    assert (full.runs, full.tokens) == (9, train.training.num_tokens)
    assert proxies.to_json()["all_flops"] == 24 * num_flops(search.proxy, 4096)
    assert full.parameters == num_parameters(train.training.model, 4096)[0]
    assert proxies.hours is None and full.hours is None


def test_hours_count_rounds_one_after_another_and_runs_at_the_same_time() -> None:
    search, train = SearchParams(), TrainParams()
    per_hour = search.proxy.num_tokens / 3600
    proxies, _ = parts(search, train, 4096, workers=1, proxy_tokens_per_s=per_hour)
    assert proxies.hours == pytest.approx(24)
    # 12 first runs, then 2 rounds of 6 that wait for each other: 3 + 2 + 2 turns of 5 workers.
    proxies, full = parts(search, train, 4096, workers=5, proxy_tokens_per_s=per_hour)
    assert proxies.hours == pytest.approx(7) and full.hours is None


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
    assert bounded == Noise(pytest.approx(0.2), "bounded")  # type: ignore[arg-type]


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
