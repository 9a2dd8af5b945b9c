"""Confirmation with fresh seeds: what ships, what is claimed, and how often either is wrong."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import dunnett as scipy_dunnett
from scipy.stats import ttest_rel

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.mixture.confirm import ConfirmParams, confirm, contenders, require_enough, shipped_pick
from tasks.mixture.decide import Pick
from tasks.mixture.problem import Constraint
from tasks.mixture.published_mixtures import Candidate, Confirmation, Contender, MixtureSource, Role
from tasks.mixture.runs import ProxyRun, RunTable

# Noise of one run among those with its seed, what a seed shifts all of them by, and the noise of a paired difference.
RUN_SD, SEED_SD = 0.005, 0.05
PAIRED_SD = 2**0.5 * RUN_SD
PARAMS = ConfirmParams()
ROLES: tuple[Role, ...] = ("natural", "best measured", "candidate", "candidate")


def contender(number: int, role: Role, gain: float = 0.0, gain_sd: float = 0.01) -> Contender:
    origin: dict[str, Any] = {"source": "natural"} if role == "natural" else {"source": "measured", "run": number}
    return Contender(**origin, role=role, weights=(number / 10, 1 - number / 10), gain=gain, gain_sd=gain_sd)


def runs_of(asked: tuple[Contender, ...], objective_KS: npt.NDArray[np.float64]) -> RunTable:
    rows: list[ProxyRun] = []
    for each, values in zip(asked, objective_KS.tolist(), strict=True):
        for seed, value in enumerate(values, start=1):
            rows.append(ProxyRun(len(rows), 0, "confirm", seed, 1, 1, 1, value, each.weights, (value, 4 - value)))
    return RunTable(("a", "b"), ("a", "b"), "bits per byte", tuple(rows))


def confirmed(
    gains: list[float], seed: int, params: ConfirmParams = PARAMS, roles: tuple[Role, ...] = ROLES
) -> Confirmation:
    asked = tuple(contender(number, role) for number, role in enumerate(roles[: len(gains)]))
    stream = generator(seed, "confirm")
    shift_S = SEED_SD * stream.standard_normal(params.num_seeds)
    own_KS = RUN_SD * stream.standard_normal((len(gains), params.num_seeds))
    objective_KS = 2.0 - np.array(gains)[:, None] + shift_S + own_KS
    return confirm(params, asked, runs_of(asked, objective_KS), range(1, params.num_seeds + 1))


def test_mixtures_that_do_not_differ_ship_nothing_new() -> None:
    strict = ConfirmParams(unproven="natural")
    verdicts = Counter(confirmed([0.0] * 4, seed, strict).verdict for seed in range(200))
    assert verdicts["keep natural"] >= 180, verdicts


def test_mixtures_that_do_not_differ_are_not_claimed_to_and_no_candidate_ships() -> None:
    found = [confirmed([0.0] * 4, seed) for seed in range(200)]
    assert sum(each.claim for each in found) <= 20
    assert sum(each.verdict == "ship candidate" for each in found) <= 20


def test_three_seeds_find_a_difference_of_three_paired_standard_deviations() -> None:
    found = Counter(confirmed([0.0, 0.0, 3 * PAIRED_SD, 0.0], seed).shipped.name for seed in range(200))
    assert found["run 2"] >= 180, found


def test_a_candidate_no_better_than_the_best_measured_does_not_ship_however_far_above_natural() -> None:
    found = Counter(confirmed([0.0, 0.1, 0.1, 0.1], seed).verdict for seed in range(200))
    assert found["ship best measured"] >= 180 and found["keep natural"] == 0, found


def test_intervals_are_those_of_dunnett_and_of_the_paired_t_test() -> None:
    two = confirmed([0.0, 0.01], 0, ConfirmParams(num_seeds=4))
    assert two.rows[1].over_natural is not None and two.degrees_of_freedom == 3
    reference = ttest_rel(two.rows[0].objectives, two.rows[1].objectives).confidence_interval(0.9)
    told = two.rows[1].over_natural
    assert (told.lower, told.upper) == pytest.approx((reference.low, reference.high), rel=1e-6)
    # Without shifts by seed the additive model is scipy's one-way layout; of 400 seeds it makes nothing to fit them.
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES))
    objective_KS = 2 + RUN_SD * generator(1, "one-way").standard_normal((4, 400))
    many = confirm(PARAMS, asked, runs_of(asked, objective_KS), range(1, 401))
    reference = scipy_dunnett(*-objective_KS[1:], control=-objective_KS[0], random_state=1).confidence_interval(0.9)
    lower = [row.over_natural.lower for row in many.rows[1:] if row.over_natural is not None]
    assert lower == pytest.approx(reference.low.tolist(), abs=5e-5)


def test_what_a_seed_shifts_all_mixtures_by_widens_nothing() -> None:
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES))
    objective_KS = 2 + RUN_SD * generator(0, "shift").standard_normal((4, 3))
    plain = confirm(PARAMS, asked, runs_of(asked, objective_KS), (1, 2, 3))
    moved = confirm(PARAMS, asked, runs_of(asked, objective_KS + np.array([0.0, 0.7, -0.3])), (1, 2, 3))
    assert moved.noise_sd == pytest.approx(plain.noise_sd) and moved.verdict == plain.verdict


def test_where_nothing_is_shown_the_params_say_whether_the_best_measured_ships_and_never_as_a_claim() -> None:
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES[:2]))
    runs = runs_of(asked, np.array([[2.0, 2.1, 2.05], [1.999, 2.09, 2.051]]))
    found = confirm(PARAMS, asked, runs, (1, 2, 3))
    assert (found.verdict, found.claim) == ("ship best measured", False)
    assert found.statement.startswith("No claim: the best measured, run 1, ships, but its gain over natural may be")
    kept = confirm(ConfirmParams(unproven="natural"), asked, runs, (1, 2, 3))
    assert (kept.verdict, kept.claim) == ("keep natural", False)
    worse = runs_of(asked, np.array([[2.0, 2.1, 2.05], [2.001, 2.11, 2.049]]))
    assert confirm(PARAMS, asked, worse, (1, 2, 3)).verdict == "keep natural"


def test_a_claim_is_said_with_both_intervals() -> None:
    found = confirmed([0.0, 0.1, 0.2, 0.0], 0)
    assert found.claim and found.verdict == "ship candidate"
    assert found.statement.startswith("Claim: run 2 beats natural by +0.")
    assert "and the best measured by +0." in found.statement and "3 fresh seeds of 4 mixtures." in found.statement


def test_z_scores_of_honest_predictions_have_variance_one() -> None:
    scores = []
    for seed in range(300):
        stream = generator(seed, "z")
        asked = (contender(0, "natural"), *(contender(k, "candidate", 0.02, 0.003) for k in (1, 2, 3)))
        truth_K = np.array([0.0, *(0.02 + 0.003 * stream.standard_normal(3))])
        objective_KS = 2 - truth_K[:, None] + RUN_SD * stream.standard_normal((4, 3))
        found = confirm(PARAMS, asked, runs_of(asked, objective_KS), (1, 2, 3))
        scores += [row.z for row in found.rows[1:] if row.z is not None]
    assert np.mean(scores) == pytest.approx(0, abs=0.12)
    assert np.std(scores) == pytest.approx(1, abs=0.12)


def test_a_mixture_that_breaks_a_constraint_with_fresh_seeds_does_not_ship() -> None:
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES[:3]))
    objective_KS = np.array([[2.0, 2.1, 2.05], [1.95, 2.06, 2.0], [1.5, 1.6, 1.55]])
    runs = runs_of(asked, objective_KS)  # the second set's loss is 4 - objective: it rises by what the objective falls
    found = confirm(PARAMS, asked, runs, (1, 2, 3), (Constraint(1, 0.1),))
    assert found.rows[2].broken_constraints == ("b",) and found.shipped.name == "run 1"
    assert "break a constraint: run 2 (b)" in found.statement
    assert confirm(PARAMS, asked, runs, (1, 2, 3)).shipped.name == "run 2"


def test_a_best_measured_that_breaks_a_constraint_is_nothing_to_be_beaten() -> None:
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES[:3]))
    objective_KS = np.array([[2.0, 2.1, 2.05], [1.5, 1.6, 1.55], [1.95, 2.06, 2.0]])
    found = confirm(PARAMS, asked, runs_of(asked, objective_KS), (1, 2, 3), (Constraint(1, 0.1),))
    assert found.rows[1].broken_constraints == ("b",) and found.rows[2].over_best is None
    assert (found.verdict, found.shipped.name) == ("ship candidate", "run 2")


def test_a_candidate_that_beats_a_poor_best_measured_but_not_natural_does_not_ship() -> None:
    found = Counter(confirmed([0.0, -0.1, 0.0, -0.1], seed).verdict for seed in range(200))
    assert found["ship candidate"] <= 20 and found["keep natural"] >= 180, found


def test_missing_runs_copies_and_too_few_seeds_are_named() -> None:
    asked = tuple(contender(number, role) for number, role in enumerate(ROLES))
    runs = runs_of(asked, 2 + generator(0, "few").standard_normal((4, 3)))
    with pytest.raises(EvidenceError, match="natural was not run with seed 7"):
        confirm(PARAMS, asked, runs, (1, 7))
    copies = tuple(replace(row, objective=2.0, losses=(2.0, 2.0)) for row in runs.rows)
    with pytest.raises(EvidenceError, match="copies of one run"):
        confirm(PARAMS, asked, replace(runs, rows=copies), (1, 2, 3))
    with pytest.raises(EvidenceError, match="too few to tell a difference from noise"):
        confirm(PARAMS, asked[:2], runs, (1, 2))
    with pytest.raises(EvidenceError, match="nothing was run again"):
        confirm(PARAMS, asked[:1], runs, (1, 2, 3))
    larger = replace(runs.rows[0], run=99, tokens=2)
    with pytest.raises(EvidenceError, match="at 2 sizes"):
        confirm(PARAMS, asked, replace(runs, rows=(*runs.rows, larger)), (1, 2, 3))


def test_contenders_that_are_too_few_to_tell_the_noise_are_refused_before_they_are_run_again() -> None:
    natural, best = candidate("natural", 0.5, 0.0, 2.0), candidate("run 3", 0.2, 0.05, 1.9)
    same = best.model_copy(update={"source": "predicted", "run": None})
    params = ConfirmParams(num_seeds=2)  # two candidates would do, but all that was considered is one mixture
    found = contenders(params, Pick(best, "because", (same, best, natural)))
    with pytest.raises(
        EvidenceError, match=r"2 mixtures.* with 2 seeds each leave 1 .* Raise search\.confirm\.num_seeds to 3"
    ):
        require_enough(params, len(found))
    require_enough(ConfirmParams(num_seeds=3), len(found))  # what the message asks for is enough
    require_enough(params, 3)
    require_enough(params, 1)  # natural alone is not run again


def candidate(name: str, first: float, score: float, measured: float | None) -> Candidate:
    run = int(name.removeprefix("run ")) if name.startswith("run ") else None
    source: MixtureSource = "measured" if run is not None else "natural" if name == "natural" else "predicted"
    return Candidate(
        source=source,
        run=run,
        weights=(first, 1 - first),
        measured=measured,
        predicted=2.0,
        gain=score,
        gain_sd=0.01,
        score=score,
    )


def test_contenders_are_natural_the_best_measured_the_pick_and_the_next_best_each_once() -> None:
    natural, best = candidate("natural", 0.5, 0.0, 2.0), candidate("run 3", 0.2, 0.05, 1.9)
    others = [candidate("run 4", 0.3, 0.04, 1.8), candidate("predicted best", 0.1, 0.06, None)]
    pick = Pick(best, "because", (others[1], best, others[0], natural))
    found = contenders(PARAMS, pick)
    assert [(each.name, each.role) for each in found] == [
        ("natural", "natural"), ("run 3", "best measured"), ("predicted best", "candidate"), ("run 4", "candidate"),
    ]  # fmt: skip
    assert len(contenders(ConfirmParams(num_candidates=1), pick)) == 3
    with pytest.raises(EvidenceError, match="compared with nothing"):
        contenders(PARAMS, Pick(natural, "as configured", (natural,)))


def test_what_ships_takes_the_place_of_the_pick() -> None:
    natural, best = candidate("natural", 0.0, 0.0, 2.0), candidate("run 1", 0.1, 0.05, 1.9)
    found = confirmed([0.0, 0.2], 0)
    pick = shipped_pick(Pick(natural, "before", (best, natural)), found)
    assert pick.chosen is best and pick.reason == found.statement


def test_seeds_whose_runs_have_several_instruction_sets_are_not_paired_and_that_is_said() -> None:
    compared = tuple(contender(number, role) for number, role in enumerate(ROLES))
    objective_KS = 2 + RUN_SD * generator(0, "sets").standard_normal((4, 3)) + np.array([0.0, 0.7, -0.3])
    runs = runs_of(compared, objective_KS)
    rows = [replace(row, instruction_set="AVX2" if row.run else "AVX512") for row in runs.rows]
    found = confirm(PARAMS, compared, replace(runs, rows=tuple(rows)), (1, 2, 3))
    paired = confirm(PARAMS, compared, runs, (1, 2, 3))
    assert paired.paired and not found.paired
    assert "different instruction sets (AVX2, AVX512)" in found.statement and "Unpaired" not in paired.statement
    # What a seed shifts all mixtures by is noise now: the pooled variance within mixtures, 4 x (3 - 1) degrees of freedom.
    assert found.noise_sd == pytest.approx(np.sqrt(objective_KS.var(axis=1, ddof=1).mean()))
    assert found.degrees_of_freedom == 8 and found.noise_sd > 10 * paired.noise_sd
    alike = [replace(row, instruction_set=f"set {row.seed}") for row in runs.rows]
    assert confirm(PARAMS, compared, replace(runs, rows=tuple(alike)), (1, 2, 3)).paired
