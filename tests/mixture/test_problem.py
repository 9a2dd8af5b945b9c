"""Caps, baselines and the grid of weights."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.mixture.problem import GRID, Problem, SearchedDomain, filled, gridded, objective_shares

TOKENS = st.lists(st.integers(1, 2000), min_size=2, max_size=8)


def problem(rows: list[int], target: int = 100, proxy: int = 50, epochs: float = 4.0) -> Problem:
    domains = tuple(SearchedDomain(f"d{i}", 10 * n, 40 * n, n, n) for i, n in enumerate(rows))
    return Problem(domains, objective_shares([d.name for d in domains], None), target, proxy, epochs)


@given(TOKENS, st.floats(0.05, 3.0))
def test_filled_weights_sum_to_one_under_caps_and_keep_proportions_below_them(shares: list[int], cap: float) -> None:
    caps_D = np.full(len(shares), max(cap, 1.0 / len(shares)))
    weights_D = filled(shares, caps_D)
    assert weights_D.sum() == pytest.approx(1)
    assert (weights_D <= caps_D + 1e-12).all()
    free_D = weights_D < caps_D - 1e-9
    ratios = (weights_D / np.array(shares))[free_D]
    assert np.allclose(ratios, ratios[:1])
    assert (weights_D / np.array(shares) <= (ratios[0] if free_D.any() else np.inf) + 1e-9).all()


@given(TOKENS, st.integers(0, 1000))
def test_gridded_weights_are_whole_ten_thousandths_under_the_caps_and_near_the_original(
    shares: list[int], seed: int
) -> None:
    stream = np.random.default_rng(seed)
    caps_D = np.clip(stream.uniform(1.2 / len(shares), 1.0, len(shares)), 0, 1)
    weights_D = filled(shares, caps_D)
    rounded_D = gridded(weights_D, caps_D)
    assert np.allclose(rounded_D * GRID, np.round(rounded_D * GRID), atol=1e-6)
    assert rounded_D.sum() == pytest.approx(1, abs=1e-12)
    assert (rounded_D <= caps_D + 1e-12).all()
    assert np.abs(rounded_D - weights_D).max() <= 2 * len(shares) / GRID


def test_natural_is_the_share_of_tokens_and_uniform_is_equal_where_no_cap_binds() -> None:
    found = problem([100, 300])
    assert found.natural.tolist() == [0.25, 0.75]
    assert found.uniform.tolist() == [0.5, 0.5]
    assert found.capped == ()


def test_uniform_is_capped_by_repetition_and_says_which_domain() -> None:
    found = problem([5, 300, 300])
    assert found.caps_D.tolist() == [0.2, 1.0, 1.0]
    assert found.uniform == pytest.approx([0.2, 0.4, 0.4])
    assert found.capped == ("d0",)


def test_the_tighter_of_target_and_proxy_caps_the_recipe_but_designs_are_held_by_the_proxy_alone() -> None:
    assert problem([5, 300], target=100, proxy=50).caps_D.tolist() == [0.2, 1.0]
    assert problem([5, 300], target=100, proxy=50).proxy_caps_D.tolist() == [0.4, 1.0]
    assert problem([5, 300], target=100, proxy=200).caps_D.tolist() == [0.1, 1.0]


@pytest.mark.parametrize(("target", "proxy", "run"), [(100, 10, "target run"), (10, 100, "proxy")])
def test_weights_that_cannot_be_met_under_the_caps_are_refused_with_numbers_and_a_remedy(
    target: int, proxy: int, run: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"the {run} asks for 100 samples, 2 domains with 20 samples give at most 80"
    ):
        problem([10, 10], target=target, proxy=proxy)


def test_a_domain_without_one_whole_sample_gets_no_weight_even_in_natural() -> None:
    domains = (
        SearchedDomain("tiny", 50, 200, 0, 0),
        SearchedDomain("a", 500, 2000, 50, 50),
        SearchedDomain("b", 500, 2000, 50, 50),
    )
    found = Problem(domains, (1 / 3,) * 3, 40, 20, 4.0)
    assert found.natural.tolist() == found.uniform.tolist() == [0.0, 0.5, 0.5]


def test_one_domain_leaves_nothing_to_search() -> None:
    with pytest.raises(ConfigError, match="leave nothing to search"):
        problem([100])


def test_the_objective_is_the_mean_unless_weights_are_given_and_a_misspelt_domain_is_refused() -> None:
    assert objective_shares(("a", "b"), None) == (0.5, 0.5)
    assert objective_shares(("a", "b"), {"b": 3.0}) == (0.0, 1.0)
    with pytest.raises(ConfigError, match=r"first: c\. There are: a, b"):
        objective_shares(("a", "b"), {"c": 1.0})
    with pytest.raises(ConfigError, match="sum to 0"):
        objective_shares(("a", "b"), {"a": 0.0})


def test_the_penalty_is_nothing_at_natural_and_grows_with_the_distance_from_it() -> None:
    two = replace(problem([300, 100]), kl_to_natural=0.1)
    weights_MD = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    expected = 0.1 * np.array([0.0, 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25), np.log(1 / 0.75), np.log(4)])
    assert two.penalty(weights_MD) == pytest.approx(expected)


def test_unimax_repeats_nothing_while_text_suffices_and_everything_alike_when_it_does_not() -> None:
    # 100 samples: equal shares would be 25 each; two domains have less, and the others take what is left.
    enough = problem([10, 20, 100, 100])
    assert enough.unimax == pytest.approx([0.1, 0.2, 0.35, 0.35])
    assert enough.uniform == pytest.approx([0.25] * 4)
    # 60 samples of text for a run of 100: each domain at most 100 / 60 times (found in steps of 1 %).
    scarce = problem([10, 20, 30])
    epochs_D = 100 * scarce.unimax / np.array([10, 20, 30])
    assert scarce.unimax.sum() == pytest.approx(1) and epochs_D.max() <= 100 / 60 * 1.02


def test_a_domain_that_is_only_measured_on_gets_no_weight_in_any_baseline_and_no_cap_above_0() -> None:
    held_out = replace(problem([100, 300, 600]).domains[2], trainable=False)
    found = replace(problem([100, 300, 600]), domains=(*problem([100, 300]).domains, held_out))
    assert found.caps_D[2] == found.proxy_caps_D[2] == 0.0
    assert found.natural == pytest.approx([0.25, 0.75, 0.0])
    assert found.uniform == pytest.approx([0.5, 0.5, 0.0]) and found.unimax[2] == 0.0
    assert found.capped == ()
    with pytest.raises(ConfigError, match=r"1 domain\(s\) to train on leave nothing to search"):
        replace(found, domains=(found.domains[0], *(replace(each, trainable=False) for each in found.domains[1:])))


def test_the_objective_has_a_share_for_every_held_out_set_whether_or_not_it_is_a_domain() -> None:
    found = replace(problem([100, 300]), sets=("web", "books", "code"), objective=(0.5, 0.25, 0.25))
    assert found.set_names == ("web", "books", "code") and found.names == ("d0", "d1")
    with pytest.raises(ConfigError, match="2 shares for 3 held-out sets"):
        replace(found, objective=(0.5, 0.5))


def test_a_trace_of_weight_on_a_domain_that_is_only_measured_on_costs_nothing_and_breaks_nothing() -> None:
    """The optimiser leaves roundings of 0 behind: an infinite penalty there would make every score NaN."""
    held_out = replace(problem([100, 300, 600]).domains[2], trainable=False)
    found = replace(problem([100, 300, 600]), domains=(*problem([100, 300]).domains, held_out), kl_to_natural=0.1)
    penalty_M = found.penalty(np.array([[0.25, 0.75, 0.0], [0.25, 0.75, 1e-18]]))
    assert np.isfinite(penalty_M).all() and penalty_M == pytest.approx([0.0, 0.0])
