"""Limits on what sets of domains have together: kept by every strategy, and refused where no mixture keeps to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.mixture.config import SearchParams
from tasks.mixture.limits import Limit, ShareLimit, admitted, gridded_within, holds, limits_of
from tasks.mixture.problem import GRID, Problem, filled
from tasks.mixture.strategies.baselines import Natural, Uniform, Unimax
from tasks.mixture.strategies.convex import Exponentials, convex_minimum
from tasks.mixture.strategies.kinds import StrategyParams
from tests.mixture.simulated import Array
from tests.mixture.test_strategies import DECISION, SEARCHING, evidence_of, finish_of, problem, propose_of, rivals

LIMITS = (Limit("open", (0, 1), 0.45, 1.0), Limit("risky", (4,), 0.0, 0.2))


@given(
    st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6),
    st.lists(st.floats(0.05, 1.0), min_size=6, max_size=6),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_weights_are_brought_within_limits_under_caps_and_stay_there_on_the_grid(
    shares: list[float], caps: list[float], low: float, high: float
) -> None:
    caps_D, shares_D = np.array(caps) / min(1.0, sum(caps) / 1.5), np.array(shares) + 1e-3
    caps_D = np.minimum(caps_D, 1.0)
    if caps_D.sum() < 1.05:
        return
    weights_D = filled(shares_D / shares_D.sum(), caps_D)
    room = float(caps_D[:2].sum())
    least = low * min(room, 0.99)
    # What the others leave is what a set must be able to have.
    most = max(least, 1.02 - float(caps_D[2:].sum()), high)
    limits = (Limit("set", (0, 1), least, min(1.0, most)),)
    found_D = admitted(limits, caps_D, weights_D[None])[0]
    assert found_D.sum() == pytest.approx(1.0, abs=1e-9)
    assert (found_D <= caps_D + 1e-12).all() and (found_D >= 0).all() and holds(limits, found_D[None])[0]
    # In a set, what is below its cap keeps its proportions.
    below = np.flatnonzero((found_D[2:] < caps_D[2:] - 1e-9) & (weights_D[2:] < caps_D[2:] - 1e-9)) + 2
    if len(below) > 1 and found_D[below].min() > 1e-6:
        ratio = found_D[below] / weights_D[below]
        assert np.allclose(ratio, ratio[0], rtol=1e-4)
    gridded_D = gridded_within(limits, found_D, caps_D, GRID)
    assert holds(limits, gridded_D[None])[0] and (gridded_D <= caps_D + 1e-12).all()
    assert gridded_D.sum() == pytest.approx(1.0, abs=1e-9)


def test_what_keeps_to_its_limits_is_not_touched_and_a_set_without_weight_gets_its_least() -> None:
    caps_D = np.ones(5)
    kept_D = np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    assert admitted(LIMITS, caps_D, kept_D[None])[0].tobytes() == kept_D.tobytes()
    found_D = admitted(LIMITS, caps_D, np.array([[0.0, 0.0, 0.5, 0.2, 0.3]]))[0]
    assert found_D[:2].sum() == pytest.approx(0.45) and found_D[4] <= 0.2 + 1e-9
    assert found_D[2] / found_D[3] == pytest.approx(2.5, rel=1e-6)


def limited() -> Problem:
    return replace(rivals(), limits=LIMITS)


@pytest.mark.parametrize("params", SEARCHING, ids=lambda params: params.kind)
def test_every_strategy_keeps_to_the_limits(params: StrategyParams) -> None:
    found = limited()
    known = evidence_of(params, found)
    if params.kind != "random_search":
        assert not found.allows(known.runs.weights_RD()).all(), "the first round is wide: the limits bind"
    proposed_MD = np.array([one.weights for one in propose_of(params, found, known, 1, 2, 3)])
    assert len(proposed_MD) and found.allows(proposed_MD).all()
    pick = finish_of(params, DECISION, found, known, 3)
    assert found.allows(np.array([pick.chosen.weights]))[0]
    considered_MD = np.array([one.weights for one in pick.considered])
    assert found.allows(considered_MD).all()


@pytest.mark.parametrize("params", [Natural(), Uniform(), Unimax()], ids=lambda params: params.kind)
def test_baselines_keep_to_the_limits(params: StrategyParams) -> None:
    found = limited()
    weights_D = {"natural": found.natural, "uniform": found.uniform, "unimax": found.unimax}[params.kind]
    assert found.allows(weights_D[None])[0] and weights_D.sum() == pytest.approx(1.0, abs=1e-9)


def test_without_limits_natural_is_what_it_was_to_the_bit() -> None:
    found = problem()
    assert found.natural.tobytes() == filled([d.tokens for d in found.domains], found.caps_D).tobytes()
    assert found.gridded(found.natural).sum() == pytest.approx(1.0)


def test_the_convex_minimum_keeps_to_limits_and_is_the_least_that_does() -> None:
    rng = np.random.default_rng(0)
    natural_D, caps_D = np.full(5, 0.2), np.full(5, 0.6)
    laws = Exponentials(np.array([0.5, 0.5]), np.zeros(2), rng.normal(size=(2, 5)))

    def value(x_D: Array) -> float:
        return float(laws.share_O @ laws.values(x_D) + 0.05 * (x_D * np.log(np.maximum(x_D, 1e-300) / natural_D)).sum())

    free_D = convex_minimum(laws, natural_D, caps_D, kl=0.05)
    found_D = convex_minimum(laws, natural_D, caps_D, kl=0.05, limits=LIMITS)
    assert not holds(LIMITS, free_D[None])[0] and holds(LIMITS, found_D[None] - 0.0)[0]
    draws_MD = admitted(LIMITS, caps_D, np.array([filled(row, caps_D) for row in rng.dirichlet(np.ones(5), 3_000)]))
    near_MD = admitted(LIMITS, caps_D, np.array([0.9 * found_D + 0.1 * row_D for row_D in draws_MD[:500]]))
    assert value(found_D) <= min(map(value, [*draws_MD, *near_MD])) + 1e-9


NAMES = ("news-open", "web-open", "web-risky")


def test_names_and_patterns_say_which_domains_are_limited() -> None:
    given = {
        "open": ShareLimit(domains=("*-open",), at_least=0.5),
        "risky": ShareLimit(domains=("web-risky",), at_most=0),
    }
    assert limits_of(given, NAMES) == (Limit("open", (0, 1), 0.5, 1.0), Limit("risky", (2,), 0.0, 0.0))
    assert limits_of(dict(reversed(given.items())), NAMES) == limits_of(given, NAMES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": {"domains": ["x*"], "at_most": 0.1}}, r"share_limits\.a: 'x\*' matches no domain"),
        (
            {"a": {"domains": ["web-*"], "at_most": 0.1}, "b": {"domains": ["*-open"], "at_most": 0.1}},
            "web-open is in a and in b. Limits on sets that share a domain are not there",
        ),
    ],
)
def test_limits_that_cannot_be_read_are_refused(given: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        limits_of({name: ShareLimit.model_validate(one) for name, one in given.items()}, NAMES)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (Limit("few", (0,), 0.9, 1.0), "share_limits.few asks for at least 0.9, but its domains have text for 0.1000"),
        (Limit("all", (1, 2, 3, 4), 0.0, 0.5), "no mixture keeps to them: .* at most 0.6000 can be had"),
    ],
)
def test_limits_that_no_mixture_keeps_to_are_refused_before_the_search(limit: Limit, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(problem(), limits=(limit,))


def test_limits_are_not_kept_by_what_moves_weights_afterwards() -> None:
    values = {"share_limits": {"a": {"domains": ["b"], "at_most": 0.5}}, "stages": {}}
    with pytest.raises(ValueError, match="share_limits are not kept by stages"):
        SearchParams.model_validate(values)
    with pytest.raises(ValueError, match="no mixture has both"):
        ShareLimit(domains=("a",), at_least=0.5, at_most=0.4)
    with pytest.raises(ValueError, match="give at_least, at_most, or both"):
        ShareLimit(domains=("a",))
