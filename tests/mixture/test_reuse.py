"""Mixture reuse on made laws, where it is known which domains are coupled."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.mixture.decide import DecisionParams, decide
from tasks.mixture.earlier_runs.reuse import FROZEN, THRESHOLD, Basis, Restricted, couplings, interactions, reuse
from tasks.mixture.predictors.choose import Selection, choose
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.problem import Constraint, Problem, SearchedDomain, objective_shares
from tasks.mixture.runs import ProxyRun, RunTable
from tasks.mixture.strategies.default import Default, finish, first, propose
from tasks.mixture.strategies.evidence import Evidence
from tasks.mixture.strategies.local_search import ascend

Array = npt.NDArray[np.float64]

DOMAINS = tuple(f"d{number}" for number in range(10))
NEW = "d9"


@dataclass(frozen=True)
class Law:
    """Losses 1.5 + .5 (.1 + t_s . w)^-.4 of ten sets, and what two domains do only together."""

    t_SD: Array
    together: float = 0.0

    def outputs(self, weights_MD: Array) -> Array:
        bonus_M = self.together * weights_MD[:, 3] * weights_MD[:, 9]
        return np.asarray(1.5 + 0.5 * (0.1 + weights_MD @ self.t_SD.T) ** -0.4 - bonus_M[:, None])

    def objective(self, weights_D: Array) -> float:
        return float(self.outputs(weights_D[None]).mean())


def law_with(pairs: tuple[tuple[int, int], ...], together: float = 0.0, much: float = 0.8) -> Law:
    """Every domain helps the set of its name; those in a pair each other's, the first one's `much`."""
    t_SD = 0.05 + np.eye(10)
    for one, other in pairs:
        t_SD[one, other], t_SD[other, one] = much, 0.8
    return Law(t_SD, together)


def problem(rows: tuple[int, ...] = (100, 300, 150, 200, 100, 200, 100, 300, 200, 200)) -> Problem:
    domains = tuple(SearchedDomain(name, 10 * n, 40 * n, n, n) for name, n in zip(DOMAINS, rows, strict=True))
    return Problem(domains, objective_shares(DOMAINS, None), 1000, 1000, 4.0)


def optimum(law: Law, caps_D: Array, start_D: Array) -> Array:
    return ascend(lambda weights_MD: -law.outputs(weights_MD).mean(axis=1), start_D[None], caps_D)[0]


def optimum_of(law: Law, basis: Basis, smaller: Problem) -> Array:
    def score(weights_MB: Array) -> Array:
        return np.asarray(-law.outputs(basis.expand(weights_MB)).mean(axis=1))

    tops = [ascend(score, start_B[None], smaller.caps_D)[0] for start_B in (smaller.natural, smaller.uniform)]
    return max(tops, key=lambda top_B: float(score(top_B[None])[0]))


def without_new(law: Law) -> Array:
    """The best mixture of before the new domain was there."""
    caps_D = np.where(np.arange(10) == 9, 0.0, problem().caps_D)
    return optimum(law, caps_D, np.where(np.arange(10) == 9, 0.0, 1 / 9))


def test_interactions_say_which_domain_helps_which_set() -> None:
    help_SD = interactions(law_with(()), problem())
    assert (help_SD.argmax(axis=0) == np.arange(10)).all() and (np.diag(help_SD) > 0).all()
    assert (help_SD[~np.eye(10, dtype=bool)] < 0).all()


def test_domains_that_are_not_trained_on_help_nothing_and_are_never_coupled() -> None:
    domains = problem().domains
    held_out = replace(problem(), domains=(replace(domains[0], trainable=False), *domains[1:]))
    assert (interactions(law_with(()), held_out)[:, 0] == 0).all()
    assert "d0" not in {found.domain for found in couplings(law_with(((0, 9),)), held_out, (NEW,), THRESHOLD)}
    with pytest.raises(ConfigError, match=r"1 of 1 are no domains to train on; first: d0\. There are: d1, d2"):
        couplings(law_with(()), held_out, ("d0",), THRESHOLD)


@pytest.mark.parametrize("pairs", [(), ((8, 9),), ((2, 9), (5, 9)), ((1, 2),)])
def test_coupled_are_just_the_domains_that_help_the_same_sets_as_the_changed_one(
    pairs: tuple[tuple[int, int], ...],
) -> None:
    found = couplings(law_with(pairs), problem(), (NEW,), THRESHOLD)
    assert [coupling.domain for coupling in found] == list(DOMAINS[:9])
    assert {coupling.domain for coupling in found if coupling.coupled} == {f"d{one}" for one, two in pairs if two == 9}
    assert all(("searched anew" in coupling.why) == coupling.coupled for coupling in found)


def test_a_joint_effect_couples_domains_that_help_different_sets() -> None:
    found = {coupling.domain: coupling for coupling in couplings(law_with((), 3.0), problem(), (NEW,), THRESHOLD)}
    assert found["d3"].coupled and found["d3"].similarity < THRESHOLD <= found["d3"].joint
    assert [name for name, coupling in found.items() if coupling.coupled] == ["d3"]


def test_the_threshold_freezes_less_when_it_is_lower() -> None:
    law = law_with(((8, 9),))
    counts = [sum(c.coupled for c in couplings(law, problem(), (NEW,), threshold)) for threshold in (-1.0, 0.25, 2.0)]
    assert counts == [9, 1, 0]


def test_a_reduced_search_finds_nearly_the_full_optimum_with_fewer_runs() -> None:
    """The new domain does what d8 did, and better. Best of 20 random mixtures here, of 200 in the whole problem."""
    law, whole = law_with(((8, 9),), much=2.0), problem()
    before_D = without_new(law)
    best = law.objective(optimum(law, whole.caps_D, whole.natural))
    smaller = reuse(law, whole, before_D, (NEW,), couplings(law, whole, (NEW,), THRESHOLD))
    assert smaller.basis.domains == (FROZEN, "d8", "d9")
    found_B = optimum_of(law, smaller.basis, smaller.problem)
    left, to_gain = law.objective(smaller.basis.expand(found_B[None])[0]) - best, law.objective(before_D) - best
    assert left < 0.02 * to_gain
    few_MB, all_MD = (generator(0, "reuse").dirichlet(np.ones(count), 4000) for count in (3, 10))
    few_MD, all_MD = smaller.basis.expand(few_MB[smaller.problem.allows(few_MB)]), all_MD[whole.allows(all_MD)]
    assert law.outputs(few_MD[:20]).mean(axis=1).min() < law.outputs(all_MD[:200]).mean(axis=1).min()


def test_freezing_what_is_coupled_costs_more_than_freezing_what_is_not() -> None:
    law, whole = law_with(((8, 9),), much=2.0), problem()
    before_D = without_new(law)
    found = couplings(law, whole, (NEW,), THRESHOLD)
    losses = []
    for couple in ("d8", "d0"):
        chosen = [each.model_copy(update={"coupled": each.domain == couple}) for each in found]
        smaller = reuse(law, whole, before_D, (NEW,), chosen)
        losses.append(law.objective(smaller.basis.expand(optimum_of(law, smaller.basis, smaller.problem)[None])[0]))
    assert losses[0] < losses[1] - 1e-3


def test_the_virtual_domain_is_capped_so_that_no_member_is_repeated_too_often() -> None:
    whole = problem((10, 300, 150, 200, 100, 200, 100, 300, 200, 200))
    shares_D = np.array([0.1, *[0.9 / 8] * 8, 0.0])
    smaller = reuse(law_with(()), whole, shares_D, (NEW,), ())
    cap = float(smaller.problem.caps_D[0])
    assert cap == pytest.approx(0.04 / 0.1, abs=0.005) and cap <= 0.4
    assert whole.allows(smaller.basis.expand(np.array([[cap, 1 - cap]])))[0]
    assert smaller.problem.set_names == DOMAINS and smaller.problem.domains[0].tokens == 15600


def test_constraints_allow_the_same_losses_in_the_reduced_problem() -> None:
    law, whole = law_with(()), replace(problem(), constraints=(Constraint(2, 0.01), Constraint(9, 0.0)))
    smaller = reuse(law, whole, without_new(law), (NEW,), ())
    natural_B = smaller.problem.natural
    for before, after in zip(whole.constraints, smaller.problem.constraints, strict=True):
        most = law.outputs(whole.natural[None])[0, before.set] + before.max_increase
        assert law.outputs(smaller.basis.expand(natural_B[None]))[0, after.set] + after.max_increase == pytest.approx(
            most
        )
        assert after.set == before.set
    assert smaller.problem.constraints[0].max_increase != 0.01


def test_too_little_room_under_the_caps_is_a_named_error() -> None:
    with pytest.raises(ConfigError, match=r"9 domains that would keep .* too little room: no weights keep to the caps"):
        reuse(law_with(()), problem((1, *[300] * 8, 100)), np.array([0.5, *[0.5 / 8] * 8, 0.0]), (NEW,), ())


def test_what_had_no_weight_stays_without_and_needs_no_dimension() -> None:
    law, whole = law_with(((8, 9),)), problem((*[300] * 8, 500, 500))
    shares_D = np.array([*[0.0] * 8, 1.0, 0.0])
    smaller = reuse(law, whole, shares_D, (NEW,), couplings(law, whole, (NEW,), THRESHOLD))
    assert smaller.basis.domains == ("d8", "d9")
    assert smaller.basis.expand(np.array([[0.25, 0.75]])).tolist() == [[*[0.0] * 8, 0.25, 0.75]]


def test_weights_go_into_the_basis_and_back_and_runs_outside_of_it_are_left_out() -> None:
    whole = problem()
    basis = reuse(law_with(()), whole, np.full(10, 0.1), (NEW,), ()).basis
    weights_MB = generator(1, "basis").dirichlet(np.ones(2), 5)
    weights_MD = basis.expand(weights_MB)
    assert weights_MD.sum(axis=1) == pytest.approx(1.0)
    assert basis.reduce(weights_MD) == pytest.approx(weights_MB)
    mixtures = [*weights_MD.tolist(), whole.natural.tolist()]
    rows = tuple(ProxyRun(i, 0, "design", 0, 1, 1, 1, 0.0, tuple(w), (0.0,)) for i, w in enumerate(mixtures))
    inside = basis.runs(RunTable(DOMAINS, ("x",), "loss", rows))
    assert [row.run for row in inside.rows] == [0, 1, 2, 3, 4] and inside.domains == (FROZEN, NEW)


@dataclass(frozen=True)
class Telling(Law):
    """A predictor that tells what it was asked."""

    name: str = "telling"
    noise_sd: float = 0.1
    believed: tuple[tuple[float, ...], ...] = ()

    def mean(self, weights_MD: Array) -> Array:
        return np.asarray(self.outputs(weights_MD).mean(axis=1))

    def sd(self, weights_MD: Array) -> Array:
        return np.asarray(weights_MD[:, 0])

    def gain(self, weights_MD: Array, reference_D: Array) -> tuple[Array, Array]:
        return self.mean(reference_D[None]) - self.mean(weights_MD), self.sd(weights_MD)

    def kriging_believer(self, weights_PD: Array) -> "Telling":
        return replace(self, believed=tuple(map(tuple, weights_PD.tolist())))


def test_a_restricted_predictor_says_what_the_whole_one_says_of_the_expanded_mixtures() -> None:
    basis = reuse(law_with(()), problem(), np.full(10, 0.1), (NEW,), ()).basis
    whole = Telling(law_with(()).t_SD)
    restricted, asked_MB = Restricted(whole, basis), np.array([[0.3, 0.7], [1.0, 0.0]])
    asked_MD = basis.expand(asked_MB)
    assert (restricted.name, restricted.noise_sd) == ("telling", 0.1)
    assert (restricted.outputs(asked_MB) == whole.outputs(asked_MD)).all()
    assert (restricted.mean(asked_MB) == whole.mean(asked_MD)).all() and (
        restricted.sd(asked_MB) == asked_MD[:, 0]
    ).all()
    assert (restricted.gain(asked_MB, asked_MB[1])[0] == whole.gain(asked_MD, asked_MD[1])[0]).all()
    kriging_believer = restricted.kriging_believer(asked_MB)
    assert isinstance(kriging_believer.whole, Telling) and kriging_believer.whole.believed == tuple(
        map(tuple, asked_MD.tolist())
    )


def measured_on(law: Law, mixtures_MD: Array, seed: int) -> Array:
    noise = generator(seed, "noise", str(len(mixtures_MD))).standard_normal((len(mixtures_MD), 10))
    return law.outputs(mixtures_MD) + 0.005 * noise


def searched(law: Law, smaller: Problem, basis: Basis, num_runs: int, before: tuple[Array, Array]) -> Array:
    """Search with the default strategy, in a basis; the predictor is of all domains, and knows the runs of before."""
    strategy, selection = Default(), Selection(zoo=(LawGp(),), num_folds=3)
    weights_RB = first(strategy, smaller, num_runs // 2, 0)
    losses_RS = measured_on(law, basis.expand(weights_RB), 0)
    for round_ in (1, 2):
        known = [np.vstack(pair) for pair in zip(before, (basis.expand(weights_RB), losses_RS), strict=True)]
        predictor = choose(selection, Measured(known[0], known[1], smaller.objective_S)).predictor
        pairs = enumerate(zip(weights_RB.tolist(), losses_RS.tolist(), strict=True))
        rows = tuple(ProxyRun(n, 0, "design", 0, 1, 1, 1, float(np.mean(s)), tuple(w), tuple(s)) for n, (w, s) in pairs)
        evidence = Evidence(RunTable(basis.domains, DOMAINS, "loss", rows), Restricted(predictor, basis))
        if round_ == 2:
            break
        proposals = propose(strategy, smaller, evidence, round_, num_runs - len(weights_RB), 0)
        asked_MB = np.array([proposal.weights for proposal in proposals])
        weights_RB = np.vstack([weights_RB, asked_MB])
        losses_RS = np.vstack([losses_RS, measured_on(law, basis.expand(asked_MB), round_)])
    pick = finish(strategy, DecisionParams(), smaller, evidence, 0)
    return np.asarray(basis.expand(np.array([pick.chosen.weights]))[0])


def test_what_ships_within_a_smaller_problem_is_natural_or_keeps_its_frozen_shares() -> None:
    law, whole = law_with(((8, 9),), much=2.0), problem()
    known_RD = generator(0, "whole").dirichlet(np.ones(10), 30)
    losses_RS = measured_on(law, known_RD, 9)
    predictor = choose(
        Selection(zoo=(LawGp(),), num_folds=3), Measured(known_RD, losses_RS, whole.objective_S)
    ).predictor
    pairs = enumerate(zip(known_RD.tolist(), losses_RS.tolist(), strict=True))
    rows = tuple(ProxyRun(n, 0, "design", 0, 1, 1, 1, float(np.mean(s)), tuple(w), tuple(s)) for n, (w, s) in pairs)
    smaller = reuse(law, whole, without_new(law), (NEW,), couplings(law, whole, (NEW,), THRESHOLD))
    pick = decide(DecisionParams(), whole, predictor, RunTable(DOMAINS, DOMAINS, "loss", rows), within=smaller)
    others_MD = np.array([each.weights for each in pick.considered if each.name != "natural"])
    assert len(others_MD) == 1 and smaller.basis.holds(others_MD).all()
    natural = next(each for each in pick.considered if each.name == "natural")
    assert natural.weights == pytest.approx(whole.natural) and natural.gain == 0.0
    free = decide(DecisionParams(), whole, predictor, RunTable(DOMAINS, DOMAINS, "loss", rows))
    assert not smaller.basis.holds(np.array([free.chosen.weights])).any()


def test_a_whole_search_with_half_the_runs_finds_a_better_mixture_when_the_uncoupled_are_frozen() -> None:
    """Couplings are read off a predictor of 30 runs without the new domain and 6 with it; 6 more search what is left."""
    law, whole = law_with(((8, 9),), much=2.0), problem()
    before_D = without_new(law)
    known_RD = np.hstack([generator(0, "before").dirichlet(np.ones(9), 30), np.zeros((30, 1))])
    known_RD = np.vstack([known_RD, generator(0, "with").dirichlet(np.ones(10), 6)])
    known = (known_RD, measured_on(law, known_RD, 9))
    selection = Selection(zoo=(LawGp(), GpSqrt()), num_folds=3)
    predictor = choose(selection, Measured(*known, whole.objective_S)).predictor
    smaller = reuse(predictor, whole, before_D, (NEW,), couplings(predictor, whole, (NEW,), THRESHOLD))
    assert smaller.basis.domains == (FROZEN, "d8", "d9")
    best = law.objective(optimum(law, whole.caps_D, whole.natural))
    reduced_D = searched(law, smaller.problem, smaller.basis, 6, known)
    nothing = (np.empty((0, 10)), np.empty((0, 10)))
    full_D = searched(law, whole, Basis(DOMAINS, np.eye(10)), 24, nothing)
    assert law.objective(reduced_D) - best < 0.5 * (law.objective(full_D) - best)
    assert law.objective(reduced_D) - best < 0.05 * (law.objective(before_D) - best)
