"""Paired comparisons: intervals, verdicts, and how often a claim is false."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import ttest_ind, ttest_rel

from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.evaluation.compare import compare, headline, paired_interval, unpaired_interval
from tasks.evaluation.decide import decision
from tasks.evaluation.published import MeasuredModel
from tasks.mixture.published import BaselineName
from tests.evaluation.made import forecast, measured, recipe

Array = npt.NDArray[np.float64]


def models(gains: list[float], baseline: BaselineName = "natural", spread: float = 0.05) -> list[MeasuredModel]:
    """Pairs whose differences are `gains`; seeds themselves differ by much more."""
    found = []
    for seed, gain in enumerate(gains):
        level = 2.0 + spread * seed
        found += [measured(baseline, seed, (level + gain, level + gain)), measured("searched", seed, (level, level))]
    return found


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=8, unique=True), st.floats(0.6, 0.99))
def test_the_interval_is_that_of_the_paired_t_test(differences: list[float], confidence: float) -> None:
    values = np.array(differences)
    interval = paired_interval(values, confidence)
    if values.std() < 1e-6:
        return
    reference = ttest_rel(values, np.zeros(len(values))).confidence_interval(confidence)
    assert (interval.lower, interval.upper) == pytest.approx((reference.low, reference.high), rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.floats(1, 3), st.floats(1, 3)), min_size=3, max_size=8, unique=True), st.floats(0.6, 0.99))
def test_the_unpaired_interval_is_that_of_welchs_test(values: list[tuple[float, float]], confidence: float) -> None:
    searched_S, baseline_S = np.array(values).T
    if min(searched_S.std(), baseline_S.std()) < 1e-6:
        return
    found = unpaired_interval(searched_S, baseline_S, confidence)
    reference = ttest_ind(baseline_S, searched_S, equal_var=False).confidence_interval(confidence)
    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high), rel=1e-6, abs=1e-9)


def test_results_without_any_spread_have_an_interval_of_no_width() -> None:
    found = unpaired_interval(np.full(3, 2.0), np.full(3, 2.5), 0.95)
    assert (found.gain, found.lower, found.upper) == (0.5, 0.5, 0.5)


def test_pairs_of_unlike_machines_lose_what_seeds_share_and_the_statement_says_so() -> None:
    paired = models([0.10, 0.11, 0.12], spread=0.5)
    assert compare(paired, "natural", confidence=0.95).claim
    elsewhere = paired[-1].model_copy(update={"instruction_set": "AVX512 amx_bf16"})
    found = compare([*paired[:-1], elsewhere], "natural", confidence=0.95)
    assert (found.test, found.claim, found.gain) == ("unpaired", False, pytest.approx(0.11))
    assert found.statement.endswith(
        "3 seeds by Welch's unpaired test, because in 1 of them the two runs were trained on different instruction sets or "
        "devices: cpu AVX512 amx_bf16 and cpu AVX2)."
    )
    all_elsewhere = [model.model_copy(update={"instruction_set": "AVX512"}) for model in paired]
    assert compare(all_elsewhere, "natural", confidence=0.95).test == "paired"


def test_a_gain_much_larger_than_its_spread_is_claimed_and_said_in_words() -> None:
    found = compare(models([0.10, 0.11, 0.12]), "natural", confidence=0.95)
    assert found.claim
    assert found.statement.startswith(
        "Claim: the searched mixture beats natural by 0.1100 bits per byte (95% interval +0.0"
    )
    assert found.statement.endswith("3 paired seeds).")


def test_pairing_takes_out_what_seeds_share() -> None:
    assert compare(models([0.010, 0.011, 0.012], spread=0.5), "natural", confidence=0.95).claim


def test_an_interval_that_holds_zero_gives_no_claim() -> None:
    found = compare(models([0.02, 0.10, -0.01]), "natural", confidence=0.95)
    assert not found.claim
    assert "No claim" in found.statement and "may be chance" in found.statement


def test_an_interval_on_the_wrong_side_of_zero_gives_no_claim() -> None:
    found = compare(models([-0.10, -0.11, -0.12]), "natural", confidence=0.95)
    assert not found.claim
    assert "No gain: the searched mixture is worse than natural by 0.1100" in found.statement


def test_a_search_that_kept_natural_claims_nothing_whatever_was_measured() -> None:
    found = compare(models([0.10, 0.11, 0.12]), "natural", confidence=0.95, same_weights=True)
    assert not found.claim
    assert found.statement == "No claim: the search kept natural."


@pytest.mark.parametrize(("gains", "told"), [([0.1], "1 seed is"), ([0.1, 0.3], "2 seeds are")])
def test_one_or_two_seeds_are_told_as_they_came_out_without_interval_and_claim(gains: list[float], told: str) -> None:
    found = compare(models(gains), "natural", confidence=0.95)
    assert not found.claim
    assert found.statement == (
        f"No claim: {told} too few for one over natural; 3 needed (train.num_seeds). "
        f"Measured gain {sum(gains) / len(gains):+.4f} bits per byte."
    )
    for part in (found, *found.per_domain.values()):
        assert part.gain == pytest.approx(sum(gains) / len(gains))
        assert (part.lower, part.upper) == (None, None)


def test_no_pair_at_all_and_an_interval_of_two_values_are_refused() -> None:
    with pytest.raises(EvidenceError, match="there is no model of searched and none of natural"):
        compare([], "natural", confidence=0.95)
    with pytest.raises(EvidenceError, match=r"2 paired seeds cannot tell .* 3 are needed. Raise train\.num_seeds"):
        paired_interval(np.array([0.1, 0.2]), 0.95)


def test_a_mixture_that_is_the_baseline_itself_has_no_interval() -> None:
    found = compare(models([0.0, 0.0, 0.0]), "natural", confidence=0.95, same_weights=True)
    assert (found.gain, found.lower, found.upper) == (0.0, None, None)


@pytest.mark.parametrize(("confidence", "told"), [(0.9999, "99.99%"), (0.95, "95%"), (0.975, "97.5%")])
def test_a_confidence_is_printed_as_it_was_asked_for(confidence: float, told: str) -> None:
    statement = compare(models([0.10, 0.11, 0.12]), "natural", confidence=confidence).statement
    assert f"({told} interval " in statement


def test_a_gain_that_is_not_zero_is_not_printed_as_zero() -> None:
    statement = compare(models([1.0e-5, 1.1e-5, 1.2e-5]), "natural", confidence=0.95).statement
    assert "beats natural by 1.1e-05 bits per byte" in statement and "0.0000" not in statement


def test_seeds_without_partner_copies_of_a_run_and_nan_are_no_evidence() -> None:
    with pytest.raises(EvidenceError, match="first: seed 3"):
        compare([*models([0.1, 0.2, 0.3]), measured("natural", 3, (2.0, 2.0))], "natural", confidence=0.95)
    with pytest.raises(EvidenceError, match="copies of one run"):
        compare(models([0.1, 0.1, 0.1], spread=0.0), "natural", confidence=0.95)
    with pytest.raises(ValidationError, match="finite number"):
        models([0.1, float("nan"), 0.3])


def test_the_headline_is_about_natural_and_tells_of_the_others() -> None:
    everything = [
        *models([0.10, 0.11, 0.12]),
        *(m for m in models([0.02, 0.1, -0.01], "uniform") if m.mixture != "searched"),
    ]
    comparisons = {name: compare(everything, name, confidence=0.95) for name in ("uniform", "natural")}
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
            measured(name, seed, (2 + seed_S[seed] + run_S2[seed, index],) * 2)
            for index, name in enumerate(("natural", "searched"))
            for seed in range(3)
        ]
        claims += compare(rows, "natural", confidence=0.95).claim
    assert 0.01 <= claims / repeats <= 0.05


def test_a_real_gain_of_four_standard_deviations_is_claimed_most_of_the_time() -> None:
    stream = generator(11, "power")
    claims = sum(
        compare(models(stream.normal(0.04, 0.01, 3).tolist()), "natural", confidence=0.95).claim for _ in range(200)
    )
    assert claims >= 150


RECIPE = recipe((0.7, 0.3), (0.4, 0.6))
FORECAST = forecast(0.12, 0.10, 0.14)


def test_the_forecast_stands_beside_the_outcome_with_a_warning_when_the_sizes_differ() -> None:
    rows = models([0.10, 0.11, 0.12])
    same = decision(rows, RECIPE, FORECAST, confidence=0.95, model_parameters=1000, tokens=2048).forecast
    assert same is not None
    assert (same.predicted_gain, same.measured_gain) == (0.12, pytest.approx(0.11))
    assert same.inside and same.same_size and same.warning is None
    assert "inside the interval" in same.statement
    other = decision(
        rows, RECIPE, forecast(0.12, 0.115, 0.14), confidence=0.95, model_parameters=5000, tokens=4096
    ).forecast
    assert other is not None and not other.inside and "outside the interval" in other.statement
    assert "untransferred" in str(other.warning)


def test_a_forecast_that_nothing_tested_is_told_so() -> None:
    kept = recipe((0.4, 0.6), (0.4, 0.6))
    value = decision(models([0.0] * 3), kept, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert value.forecast is None
    assert value.forecast_statement == "No forecast was tested: the search kept natural."
    uniform = models([0.10, 0.11, 0.12], "uniform")
    value = decision(uniform, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert value.forecast_statement == "No forecast was tested: natural was not trained."


def test_the_outcome_of_one_seed_stands_beside_the_forecast_as_noise_and_all() -> None:
    value = decision(models([0.11]), RECIPE, FORECAST, confidence=0.95, model_parameters=1000, tokens=2048)
    assert (value.claim, value.num_seeds) == (False, 1)
    assert value.forecast is not None and value.forecast.measured_lower is None and value.forecast.inside
    assert "measured +0.1100 bits per byte over natural (1 seed, so noise and all): inside" in value.forecast_statement


def test_a_decision_has_a_claim_per_baseline_and_a_table_per_domain() -> None:
    everything = [
        *models([0.10, 0.11, 0.12]),
        *(m for m in models([0.02, 0.1, -0.01], "uniform") if m.mixture != "searched"),
    ]
    value = decision(everything, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
    assert (value.claim, value.baseline, value.num_seeds) == (True, "natural", 3)
    assert {name: part.claim for name, part in value.comparisons.items()} == {"natural": True, "uniform": False}
    assert value.per_domain["d0"]["natural"] - value.per_domain["d0"]["searched"] == pytest.approx(0.11)
    assert set(value.comparisons["natural"].per_domain) == {"d0", "d1"}


def test_a_decision_without_a_searched_model_or_baseline_is_refused() -> None:
    alone = [model for model in models([0.1, 0.2, 0.3]) if model.mixture == "natural"]
    with pytest.raises(EvidenceError, match="there are models of natural"):
        decision(alone, RECIPE, FORECAST, confidence=0.95, model_parameters=1, tokens=1)
