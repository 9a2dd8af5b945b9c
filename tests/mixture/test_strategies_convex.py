"""The convex program of Olmix and of the mixing laws: minima that are known."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.core.errors import EvidenceError
from tasks.mixture.strategies.convex import Exponentials, convex_minimum

NATURAL = np.array([0.1, 0.2, 0.3, 0.4])
FREE = np.ones(4)


def laws(t_OD: list[list[float]]) -> Exponentials:
    return Exponentials(np.full(len(t_OD), 1 / len(t_OD)), np.zeros(len(t_OD)), np.array(t_OD))


def test_one_law_without_divergence_fills_the_most_useful_domains_to_their_caps() -> None:
    caps_D = np.array([0.5, 0.3, 1.0, 1.0])
    best_D = convex_minimum(laws([[-3.0, -2.0, -1.0, 0.0]]), NATURAL, caps_D, kl=0.0)
    assert best_D == pytest.approx([0.5, 0.3, 0.2, 0.0], abs=1e-6)


def test_two_domains_have_the_minimum_that_can_be_written_down() -> None:
    # min (exp(-a x) + exp(-b (1 - x))) / 2 over x: a exp(-a x) = b exp(-b (1 - x)).
    a, b = 3.0, 2.0
    best_D = convex_minimum(laws([[-a, 0.0], [0.0, -b]]), np.array([0.5, 0.5]), np.ones(2), kl=0.0)
    assert best_D[0] == pytest.approx((np.log(a / b) + b) / (a + b), abs=1e-5)


def test_where_laws_say_nothing_natural_is_the_minimum_and_a_strong_pull_leads_there() -> None:
    assert convex_minimum(laws([[0.0] * 4]), NATURAL, FREE, kl=0.05) == pytest.approx(NATURAL, abs=1e-5)
    useful = laws([[-3.0, 1.0, 0.0, 2.0], [0.5, -2.0, 0.0, 0.0]])
    gaps = [np.abs(convex_minimum(useful, NATURAL, FREE, kl=kl) - NATURAL).sum() for kl in (0.01, 0.1, 10.0)]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.1


@settings(max_examples=25)
@given(st.integers(0, 10_000))
@example(454)
@example(914)
@example(2623)
@example(6520)
def test_the_minimum_meets_the_conditions_that_make_it_one(seed: int) -> None:
    """Slopes are equal inside the bounds, not larger at a cap (Karush, Kuhn, Tucker)."""
    stream = np.random.default_rng(seed)
    natural_D, found = stream.dirichlet(np.ones(6)), laws(stream.normal(0, 2, (4, 6)).tolist())
    caps_D, kl = np.clip(stream.uniform(0.2, 0.8, 6), natural_D, 1), 0.05
    best_D = convex_minimum(found, natural_D, caps_D, kl=kl)
    assert best_D.sum() == pytest.approx(1) and (best_D <= caps_D + 1e-9).all()
    slopes_D = (found.share_O * found.values(best_D)) @ found.t_OD + kl * (
        np.log(np.maximum(best_D, 1e-12) / natural_D) + 1
    )
    inside_D, capped_D = (best_D > 1e-3) & (best_D < caps_D - 1e-5), best_D >= caps_D - 1e-5
    assert np.ptp(slopes_D[inside_D]) < 1e-3
    assert (slopes_D[capped_D] <= slopes_D[inside_D].mean() + 1e-3).all()


def test_a_domain_without_room_stays_out_and_a_limit_on_one_law_is_kept() -> None:
    caps_D = np.array([1.0, 0.0, 1.0, 1.0])
    assert convex_minimum(laws([[-1.0, -9.0, 0.0, 0.0]]), NATURAL, caps_D, kl=0.01)[1] == 0
    pair = Exponentials(np.array([1.0, 0.0]), np.zeros(2), np.array([[-3.0, 0, 0, 0], [2.0, 0, 0, -1.0]]))
    free_D = convex_minimum(pair, NATURAL, FREE, kl=0.01)
    most = float(pair.values(NATURAL)[1]) + 0.1
    held_D = convex_minimum(pair, NATURAL, FREE, kl=0.01, most_O=np.array([np.inf, most]))
    assert pair.values(free_D)[1] > most + 0.1
    assert pair.values(held_D)[1] <= most + 1e-6 and pair.values(held_D)[1] == pytest.approx(most, abs=1e-4)
    with pytest.raises(EvidenceError, match="convex proposal failed"):
        convex_minimum(pair, NATURAL, FREE, kl=0.01, most_O=np.array([np.inf, 1e-6]))
