"""Every strategy: rounds that sum to the budget, new mixtures under the caps, and a pick that says where it comes from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, EvidenceError
from tasks.mixture.decide import DecisionParams, Pick
from tasks.mixture.predictors.choose import fit
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.problem import Constraint, Problem
from tasks.mixture.published_candidates import Proposal
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.strategies.baselines import Natural, Uniform, Unimax
from tasks.mixture.strategies.climb import Climb
from tasks.mixture.strategies.default import Default, propose_from
from tasks.mixture.strategies.evidence import Evidence, excess, under_caps
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.strategies.mixing_laws import MixingLaws
from tasks.mixture.strategies.olmix import Olmix
from tasks.mixture.strategies.random_search import RandomSearch
from tasks.mixture.strategies.regmix import RegMix
from tests.mixture.simulated import Array, problem_with


def schedule_of(params: StrategyParams, num_runs: int) -> tuple[int, ...]:
    return method(params).schedule(params, num_runs)


def first_of(params: StrategyParams, found: Problem, count: int, seed: int) -> Array:
    return method(params).first(params, found, count, seed)


def propose_of(
    params: StrategyParams, found: Problem, known: Evidence, round_: int, count: int, seed: int
) -> tuple[Proposal, ...]:
    return method(params).propose(params, found, known, round_, count, seed)


def finish_of(params: StrategyParams, decision: DecisionParams, found: Problem, known: Evidence, seed: int) -> Pick:
    return method(params).finish(params, decision, found, known, seed)


# Small enough for seconds; the released constants are the defaults.
SEARCHING: tuple[StrategyParams, ...] = (
    Default(num_draws=200),
    Climb(num_draws=3000),
    RegMix(num_draws=3000),
    Olmix(),
    MixingLaws(),
    RandomSearch(num_draws=100),
)
BASELINES: tuple[StrategyParams, ...] = (Natural(), Uniform(), Unimax())
DECISION = DecisionParams()
# Target runs of 1000 samples: the first domain may have a tenth, the last as much as it likes.
TOKENS = (250, 700, 900, 1200, 9000)


def losses_of(weights_D: Array) -> Array:
    """Each domain learns from its own share and a little from the others, nobody from the last."""
    t_SD = np.full((5, 5), 0.2) + 0.8 * np.eye(5)
    t_SD[:, 4] = 0.02
    return np.asarray(1.5 + 0.5 * (0.05 + t_SD @ weights_D) ** -0.3)


def problem() -> Problem:
    return replace(problem_with(TOKENS), target_samples=1000, proxy_samples=500)


def rivals() -> Problem:
    """Domains of about the same size, of which only the first two count: the third would be given up."""
    found = replace(problem_with((800, 900, 1000, 1200, 1500)), target_samples=200, proxy_samples=200)
    return replace(found, objective=(0.5, 0.5, 0.0, 0.0, 0.0))


def measured(mixtures: Array, found: Problem) -> RunTable:
    rows = []
    for number, row in enumerate(mixtures):
        losses = losses_of(row)
        told = (0, "design", 0, 1000, 2048, 10**6, float(losses @ found.objective_S))
        rows.append(ProxyRun(number, *told, tuple(row.tolist()), tuple(losses.tolist())))  # type: ignore[arg-type]
    return RunTable(found.names, found.set_names, "bits per byte", tuple(rows))


def evidence_of(params: StrategyParams, found: Problem, count: int = 24) -> Evidence:
    known = Evidence(measured(first_of(params, found, count, 1), found), noise_sd=0.01)
    if not method(params).needs_predictor:
        return known
    return replace(known, predictor=fit(LawGp(), known.measured(found)))


def kind_of(params: StrategyParams) -> str:
    return params.kind


@given(st.integers(30, 600))
def test_rounds_sum_to_the_budget_and_released_methods_keep_their_proportions(num_runs: int) -> None:
    for params in SEARCHING:
        assert sum(schedule_of(params, num_runs)) == num_runs
    first_, second, third = schedule_of(Climb(), num_runs)
    assert abs(first_ - num_runs * 4 / 7) < 1 and abs(second - num_runs * 2 / 7) < 1 and third >= 1
    assert len(schedule_of(RegMix(), num_runs)) == len(schedule_of(Olmix(), num_runs)) == 1


def test_climbs_rounds_are_those_of_the_paper_and_scale_down() -> None:
    assert schedule_of(Climb(), 112) == (64, 32, 16)
    assert schedule_of(Climb(), 48) == (27, 14, 7)
    with pytest.raises(ConfigError, match="2 runs are too few for 3 rounds"):
        schedule_of(Climb(), 2)


def test_baselines_measure_nothing_of_their_own() -> None:
    for params in BASELINES:
        assert schedule_of(params, 48) == ()
        with pytest.raises(ConfigError, match=f"strategy {params.kind} measures nothing"):
            first_of(params, problem(), 4, 0)


@pytest.mark.parametrize("params", SEARCHING, ids=kind_of)
def test_a_first_round_keeps_to_the_proxies_caps_and_holds_no_mixture_twice(params: StrategyParams) -> None:
    found = problem()
    first_MD = first_of(params, found, 20, 3)
    assert first_MD.shape == (20, 5) and np.allclose(first_MD.sum(axis=1), 1)
    assert (first_MD >= 0).all() and (first_MD <= found.proxy_caps_D + 1e-12).all()
    assert len({tuple(row) for row in first_MD.round(9)}) == 20
    assert (first_MD == first_of(params, found, 20, 3)).all()
    assert not (first_MD[5:] == first_of(params, found, 20, 4)[5:]).all()


def test_the_default_begins_with_natural_uniform_and_unimax() -> None:
    found = problem()
    first_MD = first_of(Default(), found, 12, 0)
    assert (first_MD[:3] == [found.natural, found.uniform, found.unimax]).all()
    assert (first_of(RandomSearch(), found, 12, 0)[0] == found.natural).all()


@pytest.mark.parametrize("params", SEARCHING, ids=kind_of)
def test_proposals_are_new_different_under_the_recipes_caps_and_the_same_every_time(params: StrategyParams) -> None:
    found, known = problem(), evidence_of(params, problem())
    proposals = propose_of(params, found, known, 1, 5, 3)
    everything = [tuple(row) for row in np.vstack([known.runs.weights_RD(), [p.weights for p in proposals]]).round(9)]
    assert len(proposals) == 5 and len(set(everything)) == len(everything)
    assert found.allows(np.array([proposal.weights for proposal in proposals])).all()
    assert proposals == propose_of(params, found, known, 1, 5, 3)
    assert proposals != propose_of(params, found, known, 2, 5, 3)


@pytest.mark.parametrize("params", SEARCHING, ids=kind_of)
def test_what_is_shipped_keeps_to_the_caps_and_is_scored_beside_natural(params: StrategyParams) -> None:
    found, known = problem(), evidence_of(params, problem())
    pick = finish_of(params, DECISION, found, known, 3)
    assert found.allows(np.array([pick.chosen.weights]))[0]
    assert pick.chosen in pick.considered and "natural" in {candidate.name for candidate in pick.considered}
    assert pick == finish_of(params, DECISION, found, known, 3)


def test_a_released_method_that_asks_for_more_than_a_cap_is_cut_and_the_reason_says_so() -> None:
    found = rivals()
    # The first two count, but may have an eighth each: a fraction of what the methods would give them.
    small = [replace(domain, rows=6) for domain in found.domains[:2]]
    tight = replace(found, domains=(*small, *found.domains[2:]))
    known = evidence_of(RegMix(), found)
    pick = finish_of(RegMix(num_draws=3000), DECISION, tight, known, 0)
    assert "of its weight was above a cap and went to other domains" in pick.reason
    assert tight.allows(np.array([pick.chosen.weights]))[0]
    proposals = propose_of(Climb(num_draws=3000), tight, known, 1, 8, 0)
    assert max(proposal.moved for proposal in proposals) > 0.01


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda shares: sum(shares) > 0.1))
def test_bringing_weights_under_the_caps_moves_no_more_than_it_says(shares: list[float]) -> None:
    caps_D = np.array([0.1, 0.4, 0.6, 1.0])
    weights_D = np.array(shares) / sum(shares)
    kept_D, moved = under_caps(weights_D, caps_D)
    assert kept_D.sum() == pytest.approx(1) and (kept_D <= caps_D + 1e-12).all()
    assert np.abs(kept_D - weights_D).sum() / 2 == pytest.approx(moved, abs=1e-3)
    assert (moved == 0) == bool((weights_D <= caps_D + 1e-12).all())


def test_climb_measures_draws_from_the_best_and_regmix_ships_the_mean_of_the_best() -> None:
    found, known = problem(), evidence_of(Climb(), problem())
    proposals = propose_of(Climb(num_draws=3000, min_top=10), found, known, 1, 3, 0)
    wider = propose_of(Climb(num_draws=3000, min_top=2000), found, known, 1, 3, 0)
    assert max(p.predicted or 9 for p in proposals) < max(p.predicted or 9 for p in wider)
    one = finish_of(RegMix(num_draws=3000, num_averaged=1), DECISION, found, known, 0).chosen.weights
    many = finish_of(RegMix(num_draws=3000), DECISION, found, known, 0).chosen.weights
    assert sum(weight > 0.001 for weight in one) <= sum(weight > 0.001 for weight in many) == 5


@pytest.mark.parametrize("params", [Default(num_draws=200), Olmix(), MixingLaws()], ids=kind_of)
def test_a_constraint_is_kept_as_predicted_and_changes_what_is_shipped(params: StrategyParams) -> None:
    free = rivals()
    held = replace(free, constraints=(Constraint(2, 0.01),))
    known = evidence_of(params, free)
    own = fit(LawGp() if isinstance(params, Default) else params.predictor, known.measured(free))  # type: ignore[union-attr]
    loose, tight = (finish_of(params, DECISION, found, known, 0).chosen.weights for found in (free, held))
    broken_M = excess(held, own, np.array([loose, tight]))
    assert broken_M[0] > 0.005 and broken_M[1] < 1e-4
    assert losses_of(np.array(tight))[2] < losses_of(np.array(loose))[2] - 0.005


def test_the_defaults_proposals_keep_constraints_as_predicted() -> None:
    free = rivals()
    held = replace(free, constraints=(Constraint(2, 0.01),))
    known = evidence_of(Default(), free)
    kept, unbound = (propose_of(Default(num_draws=200), found, known, 1, 6, 0) for found in (held, free))
    assert excess(held, known.fitted("default"), np.array([p.weights for p in kept])).max() == 0
    assert excess(held, known.fitted("default"), np.array([p.weights for p in unbound])).max() > 0.01


def test_a_method_that_knows_no_constraints_says_that_it_is_predicted_to_break_them() -> None:
    found = replace(rivals(), constraints=(Constraint(2, 0.0),))
    known = evidence_of(RegMix(), found)
    known = replace(known, predictor=fit(GpSqrt(), known.measured(found)))
    assert "predicted to break the constraints" in finish_of(RegMix(num_draws=3000), DECISION, found, known, 0).reason


def test_the_default_needs_a_predictor_and_chooses_from_a_finite_pool_by_the_same_acquisition() -> None:
    found, known = problem(), evidence_of(Default(), problem())
    with pytest.raises(EvidenceError, match="no predictor was fitted"):
        propose_of(Default(), found, replace(known, predictor=None), 1, 3, 0)
    pool_MD = np.vstack([known.runs.weights_RD()[:4], first_of(RandomSearch(), found, 30, 8)[1:]])
    chosen = propose_from(Default(), found, known, pool_MD, 4)
    rows = [int(np.flatnonzero((pool_MD == proposal.weights).all(axis=1))[0]) for proposal in chosen]
    assert len(set(rows)) == 4 and min(rows) >= 4
    best = propose_from(Default(explored_per_round=0), found, known, pool_MD, 1)[0]
    objective_M = np.array([losses_of(row) @ found.objective_S for row in pool_MD])
    assert losses_of(np.array(best.weights)) @ found.objective_S <= np.sort(objective_M)[3]


def test_baselines_are_shipped_as_they_are_with_what_was_measured_of_them() -> None:
    found = problem()
    known = Evidence(measured(np.array([found.natural, found.uniform, found.unimax]), found), noise_sd=0.02)
    objective = {name: losses_of(w) @ found.objective_S for name, w in (("natural", found.natural),)}["natural"]
    for params, weights_D in zip(BASELINES, (found.natural, found.uniform, found.unimax), strict=True):
        pick = finish_of(params, DECISION, found, known, 0)
        assert pick.chosen.name == params.kind and pick.chosen.weights == tuple(weights_D)
        assert pick.chosen.gain == pytest.approx(objective - losses_of(weights_D) @ found.objective_S)
        assert pick.chosen.gain_sd == (0.0 if params.kind == "natural" else pytest.approx(0.02 * 2**0.5))
    with pytest.raises(EvidenceError, match="natural with other seeds"):
        finish_of(Uniform(), DECISION, found, replace(known, noise_sd=None), 0)
    predicted = replace(known, predictor=evidence_of(Default(), found).predictor)
    assert finish_of(Uniform(), DECISION, found, predicted, 0).chosen.name == "uniform"


def test_a_trust_region_keeps_improvement_near_the_incumbent_and_off_it_may_be_anywhere() -> None:
    found, known = problem(), evidence_of(Default(), problem())
    predictor = known.fitted("default")
    near = propose_of(Default(num_draws=200, trust_region=0.15, explored_per_round=0), found, known, 1, 1, 0)[0]
    free = propose_of(Default(num_draws=200, trust_region=None, explored_per_round=0), found, known, 1, 1, 0)[0]
    allowed_RD = known.runs.weights_RD()[found.allows(known.runs.weights_RD())]
    incumbent_D = allowed_RD[int(np.argmin(predictor.mean(allowed_RD)))]
    gaps = [float(np.sqrt(((np.sqrt(p.weights) - np.sqrt(incumbent_D)) ** 2).sum())) for p in (near, free)]
    assert gaps[0] <= 0.15 < gaps[1]


def test_random_search_ships_the_best_measured_under_the_caps() -> None:
    found, known = problem(), evidence_of(RandomSearch(), problem())
    pick = finish_of(RandomSearch(), DECISION, found, known, 0)
    allowed = [row for row in known.runs.rows if found.allows(np.array([row.weights]))[0]]
    assert pick.chosen.weights == min(allowed, key=lambda row: row.objective).weights
