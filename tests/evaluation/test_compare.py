"""Paired comparisons: intervals, verdicts, and how often a claim is false."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.evaluation.compare import Measured, compare, headline, paired_interval
from tasks.evaluation.decide import decision

Array = npt.NDArray[np.float64]
EQUAL = np.array([0.5, 0.5])


def models(gains: list[float], baseline: str = "natural", spread: float = 0.05) -> list[Measured]:
    """Pairs whose differences are `gains`; seeds themselves differ by much more."""
    found = []
    for seed, gain in enumerate(gains):
        level = 2.0 + spread * seed
        found += [Measured(baseline, seed, (level + gain, level + gain)), Measured("searched", seed, (level, level))]
    return found


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=8, unique=True), st.floats(0.6, 0.99))
def test_the_interval_is_that_of_the_paired_t_test(differences: list[float], confidence: float) -> None:
    values = np.array(differences)
    interval = paired_interval(values, confidence)
    if values.std() < 1e-6:
        return
    reference = ttest_rel(values, np.zeros(len(values))).confidence_interval(confidence)
    assert (interval.lower, interval.upper) == pytest.approx((reference.low, reference.high), rel=1e-6, abs=1e-9)


def test_a_gain_much_larger_than_its_spread_is_claimed_and_said_in_words() -> None:
    found = compare(models([0.10, 0.11, 0.12]), "natural", EQUAL, confidence=0.95)
    assert found.claim
    assert found.statement.startswith(
        "Claim: the searched mixture beats natural by 0.1100 bits per byte (95% interval +0.0"
    )
    assert found.statement.endswith("3 paired seeds).")


def test_pairing_takes_out_what_seeds_share() -> None:
    assert compare(models([0.010, 0.011, 0.012], spread=0.5), "natural", EQUAL, confidence=0.95).claim


def test_an_interval_that_holds_zero_gives_no_claim() -> None:
    found = compare(models([0.02, 0.10, -0.01]), "natural", EQUAL, confidence=0.95)
    assert not found.claim
    assert "No claim" in found.statement and "may be chance" in found.statement


def test_an_interval_on_the_wrong_side_of_zero_gives_no_claim() -> None:
    found = compare(models([-0.10, -0.11, -0.12]), "natural", EQUAL, confidence=0.95)
    assert not found.claim
    assert "No claim: natural beats the searched mixture by 0.1100" in found.statement


def test_a_search_that_kept_natural_claims_nothing_whatever_was_measured() -> None:
    found = compare(models([0.10, 0.11, 0.12]), "natural", EQUAL, confidence=0.95, same_weights=True)
    assert not found.claim
    assert found.statement == "No claim: the search kept natural."


def test_the_objective_weighs_the_domains() -> None:
    pairs = [Measured("natural", seed, (2.1 + 0.001 * seed, 1.0)) for seed in range(3)]
    pairs += [Measured("searched", seed, (2.0, 1.5 + 0.001 * seed)) for seed in range(3)]
    assert compare(pairs, "natural", np.array([1.0, 0.0]), confidence=0.95).claim
    assert not compare(pairs, "natural", EQUAL, confidence=0.95).claim


@pytest.mark.parametrize(("gains", "told"), [([0.1], "1 seed is"), ([0.1, 0.3], "2 seeds are")])
def test_one_or_two_seeds_are_told_as_they_came_out_without_interval_and_claim(gains: list[float], told: str) -> None:
    found = compare(models(gains), "natural", EQUAL, confidence=0.95)
    assert not found.claim
    assert found.statement == (
        f"No claim: {told} too few for one over natural; 3 needed (train.num_seeds). "
        f"Measured gain {sum(gains) / len(gains):+.4f} bits per byte."
    )
    for part in (found.overall, *found.per_domain):
        assert part.gain == pytest.approx(sum(gains) / len(gains))
        assert (part.lower, part.upper) == (None, None)


def test_no_pair_at_all_and_an_interval_of_two_values_are_refused() -> None:
    with pytest.raises(EvidenceError, match="there is no model of searched and none of natural"):
        compare([], "natural", EQUAL, confidence=0.95)
    with pytest.raises(EvidenceError, match=r"2 paired seeds cannot tell .* 3 are needed. Raise train\.num_seeds"):
        paired_interval(np.array([0.1, 0.2]), 0.95)


def test_a_mixture_that_is_the_baseline_itself_has_no_interval() -> None:
    found = compare(models([0.0, 0.0, 0.0]), "natural", EQUAL, confidence=0.95, same_weights=True)
    assert (found.overall.gain, found.overall.lower, found.overall.upper) == (0.0, None, None)


@pytest.mark.parametrize(("confidence", "told"), [(0.9999, "99.99%"), (0.95, "95%"), (0.975, "97.5%")])
def test_a_confidence_is_printed_as_it_was_asked_for(confidence: float, told: str) -> None:
    statement = compare(models([0.10, 0.11, 0.12]), "natural", EQUAL, confidence=confidence).statement
    assert f"({told} interval " in statement


def test_a_gain_that_is_not_zero_is_not_printed_as_zero() -> None:
    statement = compare(models([1.0e-5, 1.1e-5, 1.2e-5]), "natural", EQUAL, confidence=0.95).statement
    assert "beats natural by 1.1e-05 bits per byte" in statement and "0.0000" not in statement


def test_seeds_without_partner_copies_of_a_run_and_nan_are_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="first: seed 3"):
        compare([*models([0.1, 0.2, 0.3]), Measured("natural", 3, (2.0, 2.0))], "natural", EQUAL, confidence=0.95)
    with pytest.raises(EvidenceError, match="copies of one run"):
        compare(models([0.1, 0.1, 0.1], spread=0.0), "natural", EQUAL, confidence=0.95)
    with pytest.raises(EvidenceError, match="no finite numbers"):
        compare(models([0.1, float("nan"), 0.3]), "natural", EQUAL, confidence=0.95)


def test_the_headline_is_about_natural_and_tells_of_the_others() -> None:
    everything = [
        *models([0.10, 0.11, 0.12]),
        *(m for m in models([0.02, 0.1, -0.01], "uniform") if m.mixture != "searched"),
    ]
    comparisons = {name: compare(everything, name, EQUAL, confidence=0.95) for name in ("uniform", "natural")}
    claim, statement = headline(comparisons)
    assert claim
    assert statement.startswith("Claim: the searched mixture beats natural")
    assert "No claim: the gain over uniform" in statement


def test_false_claims_are_rarer_than_one_in_twenty() -> None:
    """Three seeds, no difference: the interval has 5 % outside on two sides, a claim needs the right one."""
    repeats, stream = 2000, generator(11, "false claims")
    claims = 0
    for _ in range(repeats):
        seed_S, run_S2 = stream.normal(0, 0.01, 3), stream.normal(0, 0.005, (3, 2))
        rows = [
            Measured(name, seed, (2 + seed_S[seed] + run_S2[seed, index],) * 2)
            for index, name in enumerate(("natural", "searched"))
            for seed in range(3)
        ]
        claims += compare(rows, "natural", EQUAL, confidence=0.95).claim
    assert 0.01 <= claims / repeats <= 0.05


def test_a_real_gain_of_four_standard_deviations_is_claimed_most_of_the_time() -> None:
    stream = generator(11, "power")
    claims = sum(
        compare(models(stream.normal(0.04, 0.01, 3).tolist()), "natural", EQUAL, confidence=0.95).claim
        for _ in range(200)
    )
    assert claims >= 150


RECIPE = {
    "domains": ["a", "b"],
    "objective": [0.5, 0.5],
    "phases": [{"tokens": 4096, "weights": [0.7, 0.3]}],
    "baselines": {"natural": [0.4, 0.6], "uniform": [0.5, 0.5]},
}
FORECAST = {
    "gain_over_natural": 0.12,
    "lower": 0.10,
    "upper": 0.14,
    "confidence": 0.9,
    "model_parameters": 1000,
    "tokens": 2048,
    "status": "one size",
}


def test_the_forecast_stands_beside_the_outcome_with_a_warning_when_the_sizes_differ() -> None:
    rows = models([0.10, 0.11, 0.12])
    same = decision(rows, RECIPE, FORECAST, confidence=0.95, model_parameters=1000, tokens=2048)["forecast"]
    assert (same["predicted_gain"], same["measured_gain"]) == (0.12, pytest.approx(0.11))
    assert same["inside"] and same["same_size"] and same["warning"] is None
    assert "inside the interval" in same["statement"]
    other = decision(rows, RECIPE, FORECAST | {"lower": 0.115}, confidence=0.95, model_parameters=5000, tokens=4096)
    assert not other["forecast"]["inside"] and "outside the interval" in other["forecast"]["statement"]
    assert "untransferred" in other["forecast"]["warning"]


def test_a_forecast_that_nothing_tested_is_told_so() -> None:
    kept = RECIPE | {"phases": [{"tokens": 4096, "weights": [0.4, 0.6]}]}
    value = decision(models([0.0] * 3), kept, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert value["forecast"] is None
    assert value["forecast_statement"] == "No forecast was tested: the search kept natural."
    uniform = models([0.10, 0.11, 0.12], "uniform")
    value = decision(uniform, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert value["forecast_statement"] == "No forecast was tested: natural was not trained."


def test_the_outcome_of_one_seed_stands_beside_the_forecast_as_noise_and_all() -> None:
    value = decision(models([0.11]), RECIPE, FORECAST, confidence=0.95, model_parameters=1000, tokens=2048)
    assert (value["claim"], value["headline"], value["num_seeds"]) == (False, "no claim", 1)
    assert value["forecast"]["measured_lower"] is None and value["forecast"]["inside"]
    assert (
        "measured +0.1100 bits per byte over natural (1 seed, so noise and all): inside" in value["forecast_statement"]
    )


def test_a_decision_has_a_verdict_per_baseline_and_a_table_per_domain() -> None:
    everything = [
        *models([0.10, 0.11, 0.12]),
        *(m for m in models([0.02, 0.1, -0.01], "uniform") if m.mixture != "searched"),
    ]
    value = decision(everything, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert (value["headline"], value["claim"], value["baseline"], value["num_seeds"]) == ("claim", True, "natural", 3)
    assert {name: part["verdict"] for name, part in value["comparisons"].items()} == {
        "natural": "claim",
        "uniform": "no claim",
    }
    assert value["per_domain"]["a"]["natural"] - value["per_domain"]["a"]["searched"] == pytest.approx(0.11)
    assert set(value["comparisons"]["natural"]["per_domain"]) == {"a", "b"}


def test_a_decision_without_a_searched_model_or_baseline_is_refused() -> None:
    alone = [model for model in models([0.1, 0.2, 0.3]) if model.mixture == "natural"]
    with pytest.raises(EvidenceError, match="there are models of natural"):
        decision(alone, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
