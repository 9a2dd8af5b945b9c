"""Initial designs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.mixture.designs.space_filling import SpaceFilling, draws, farthest, space_filling
from tasks.mixture.designs.swarm import Swarm, candidates, swarm
from tests.mixture.test_problem import problem


@settings(max_examples=15)
@given(st.lists(st.integers(20, 500), min_size=2, max_size=8), st.integers(1, 12), st.integers(0, 5))
def test_designs_keep_to_the_proxies_caps_and_hold_no_mixture_twice(rows: list[int], count: int, seed: int) -> None:
    found = problem(rows, target=60, proxy=40)
    design_MD = space_filling(SpaceFilling(num_draws=60), found, count, seed)
    assert design_MD.shape == (count, len(rows))
    assert (design_MD >= 0).all() and (design_MD <= found.proxy_caps_D + 1e-12).all()
    assert np.allclose(design_MD.sum(axis=1), 1)
    everything = [tuple(row) for row in np.vstack([found.natural, found.uniform, design_MD]).round(9)]
    assert len(set(map(tuple, design_MD.round(9)))) == count
    assert not {tuple(row) for row in design_MD.round(9)} & set(everything[:2])


def test_the_same_seed_gives_the_same_design_and_another_seed_another() -> None:
    found = problem([100, 200, 300, 50])
    first = space_filling(SpaceFilling(), found, 6, 0)
    assert (first == space_filling(SpaceFilling(), found, 6, 0)).all()
    assert not (first == space_filling(SpaceFilling(), found, 6, 1)).all()


def test_anchors_lean_on_one_domain_each() -> None:
    found = problem([100, 200, 300, 50])
    anchors_MD = space_filling(SpaceFilling(anchor_fraction=1.0), found, 4, 0)
    assert sorted(anchors_MD.argmax(axis=1)) == [0, 1, 2, 3]
    assert (anchors_MD.max(axis=1) >= 0.6).all()


def test_weak_strengths_draw_far_from_natural_and_strong_ones_near() -> None:
    found = problem([100, 200, 300, 50])

    def distance(strength: float) -> float:
        drawn_MD = draws(found, 200, (strength,), 1.0, found.proxy_caps_D, 0)
        return float(np.abs(drawn_MD - found.natural).sum(axis=1).mean())

    assert distance(0.3) > 2 * distance(10.0)


def test_the_farthest_mixture_is_taken_first_and_a_small_pool_gives_fewer() -> None:
    start, pool = np.array([[0.5, 0.5]]), np.array([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    assert farthest(start, pool, 1)[1].tolist() == [1.0, 0.0]
    assert len(farthest(start, pool, 10)) == 3
    assert farthest(start, pool, 0) == pytest.approx(start)


SKEWED = np.array([0.6, 0.25, 0.1, 0.04, 0.009, 0.001])


@pytest.mark.parametrize("seed", [0, 1])
def test_regmixs_swarm_keeps_to_fifteen_times_natural_on_its_grid_without_repeats(seed: int) -> None:
    params = Swarm()
    swarm_MD = swarm(params, SKEWED, 200, seed)
    assert swarm_MD.shape == (200, 6) and np.allclose(swarm_MD.sum(axis=1), 1, atol=1e-12)
    # Rounding to the grid and to a sum of 1 moves a weight by no more than a few of its steps.
    assert (swarm_MD <= np.minimum(15 * SKEWED, 1) + 5 * params.grid).all()
    assert ((swarm_MD == 0) | (swarm_MD > 0.9 * params.grid)).all() and (swarm_MD == 0).any()
    counts_MD = swarm_MD / params.grid
    assert np.abs(counts_MD - counts_MD.round()).max() < 0.01 * counts_MD.max()
    assert len({tuple(row) for row in swarm_MD.round(6)}) == 200
    assert (swarm_MD == swarm(params, SKEWED, 200, seed)).all()


def test_the_swarm_is_sparse_and_even_draws_alike_around_the_tempered_shares() -> None:
    swarm_MD = swarm(Swarm(), SKEWED, 500, 0)
    largest_M = swarm_MD.max(axis=1)
    assert (largest_M > 0.9).mean() > 0.1 and (largest_M < 0.6).mean() > 0.1
    assert swarm_MD.mean(axis=0)[0] < 0.6 and swarm_MD.mean(axis=0)[2] > 0.1


def test_a_swarm_that_finds_too_few_mixtures_says_so() -> None:
    with pytest.raises(ConfigError, match=r"of 10 draws keep to 1\.01 times"):
        swarm(Swarm(oversample=1, drawn_as=1, max_usage=1.01), SKEWED, 10, 0)


def test_candidates_are_drawn_around_natural_or_as_the_swarm_was() -> None:
    natural_MD = candidates(Swarm(), SKEWED, "natural", 4000, 0, "pick")
    assert natural_MD.mean(axis=0) == pytest.approx(SKEWED, abs=0.03)
    assert natural_MD[:, 5].max() > 15 * SKEWED[5]
    swarm_MD = candidates(Swarm(), SKEWED, "swarm", 4000, 0, "pick")
    assert swarm_MD[:, 5].max() <= 15 * SKEWED[5] + 1e-3 and len(swarm_MD) < 4000
    assert not (natural_MD[:10] == candidates(Swarm(), SKEWED, "natural", 4000, 0, "round 1")[:10]).all()
