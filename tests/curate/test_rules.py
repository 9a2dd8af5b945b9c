"""Rules, profiles and params: what a threshold means, and which mistakes are refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.core.params import validate
from tasks.curate.config import CurateParams
from tasks.curate.funnel import FILTER_OF_REASON
from tasks.curate.profiles import CODE, PROFILES, PROSE
from tasks.curate.rules.decide import PASSES, decide, quality, why_dropped
from tasks.curate.rules.gopher import RULES, Rule, active_rules, explain
from tasks.curate.rules.profile import Profile
from tasks.curate.statistics.annotate import COUNTS, STATISTICS

FINE = {
    **dict.fromkeys(STATISTICS, 0.0),
    **dict.fromkeys(COUNTS, 500),
    "stop_words": 8,
    "mean_word_chars": 5.0,
    "alphabetic_word_fraction": 1.0,
}


def columns(**changed: float) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in (FINE | changed).items()}


def reason_of(profile: Profile, **changed: float) -> str | None:
    found = decide(columns(**changed), ["p"], {"p": profile}).failed_rule_N[0]
    return None if found == PASSES else RULES[found].reason


def test_a_document_far_from_every_threshold_is_kept_by_every_profile() -> None:
    assert {name: reason_of(profile) for name, profile in PROFILES.items()} == dict.fromkeys(PROFILES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.reason)
def test_a_value_at_its_threshold_passes_and_one_beyond_is_dropped_for_that_reason(rule: Rule) -> None:
    threshold = PROSE.model_dump()[rule.threshold]
    step = 1 if rule.statistic in COUNTS else 1e-9
    beyond = threshold - step if rule.side == "at_least" else threshold + step
    assert reason_of(PROSE, **{rule.statistic: threshold}) is None
    assert reason_of(PROSE, **{rule.statistic: beyond}) == rule.reason


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.reason)
def test_a_rule_that_is_off_drops_nothing_and_nan_passes_no_rule_that_is_on(rule: Rule) -> None:
    off = PROSE.model_copy(update={rule.threshold: None})
    assert reason_of(PROSE, **{rule.statistic: math.nan}) is not None
    other = [other for other in RULES if other.statistic == rule.statistic and other != rule]
    assert reason_of(off, **{rule.statistic: math.nan}) == (other[0].reason if other else None)


def test_prose_has_the_thresholds_of_the_paper() -> None:
    """Rae et al. 2021, appendix A1.1 and table A1."""
    table = {"duplicate_line": 0.30, "duplicate_paragraph": 0.30, "duplicate_line_char": 0.20}
    table |= {
        "duplicate_paragraph_char": 0.20,
        "top_2_gram_char": 0.20,
        "top_3_gram_char": 0.18,
        "top_4_gram_char": 0.16,
    }
    table |= {
        f"duplicate_{n}_gram_char": value
        for n, value in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.10), strict=True)
    }
    quality_rules = {
        "min_words": 50,
        "max_words": 100_000,
        "min_mean_word_chars": 3,
        "max_mean_word_chars": 10,
        "max_hash_word_ratio": 0.1,
        "max_ellipsis_word_ratio": 0.1,
        "max_bullet_line_fraction": 0.9,
        "max_ellipsis_line_fraction": 0.3,
        "min_alphabetic_word_fraction": 0.8,
        "min_stop_words": 2,
    }
    assert PROSE.model_dump() == quality_rules | {f"max_{name}_fraction": value for name, value in table.items()}


def test_every_threshold_of_a_profile_belongs_to_exactly_one_rule() -> None:
    assert sorted(rule.threshold for rule in RULES) == sorted(Profile.model_fields)
    assert len(FILTER_OF_REASON) == len(RULES) + 2
    assert {rule.statistic for rule in RULES} <= set(STATISTICS)


def test_the_first_failing_rule_in_order_gives_the_reason() -> None:
    assert reason_of(PROSE, words=3, stop_words=0, top_2_gram_char_fraction=1.0) == "too_few_words"
    assert reason_of(PROSE, stop_words=0, top_2_gram_char_fraction=1.0) == "too_few_stop_words"


def test_the_detail_says_value_and_threshold_and_never_a_false_equality() -> None:
    assert why_dropped(columns(words=31), 0, 0, PROSE) == ("gopher_quality", "too_few_words", "words 31 < 50")
    rule, limit = next(
        (rule, limit) for _, rule, limit in active_rules(PROSE) if rule.reason == "too_many_duplicate_lines"
    )
    assert explain(rule, limit, 0.3000001) == "duplicate_line_fraction 0.3000001 > 0.3"


def test_failures_count_a_document_under_every_rule_it_fails() -> None:
    found = decide(columns(words=3, stop_words=0), ["p"], {"p": PROSE})
    assert {reason for reason, number in found.failures["p"].items() if number} == {
        "too_few_words",
        "too_few_stop_words",
    }


def test_each_document_is_judged_by_the_profile_of_its_own_source() -> None:
    both = {name: np.array([value, value]) for name, value in (FINE | {"stop_words": 0}).items()}
    found = decide(both, ["prose", "code"], PROFILES)
    assert [RULES[found.failed_rule_N[0]].reason, found.failed_rule_N[1]] == ["too_few_stop_words", PASSES]
    assert found.documents == {"prose": 1, "code": 1}


@given(st.dictionaries(st.sampled_from([rule.statistic for rule in RULES]), st.floats(0, 1e6)))
def test_quality_lies_between_zero_and_one(changed: dict[str, float]) -> None:
    assert 0.0 <= quality(columns(**changed), PROSE, 1)[0] <= 1.0


def test_quality_is_the_mean_head_room_over_the_active_rules() -> None:
    profile = Profile(min_words=100, max_hash_word_ratio=0.1)
    # 150 of at least 100 words: 0.5. 0.025 of at most 0.1: 0.75.
    assert quality(columns(words=150, hash_word_ratio=0.025), profile, 1)[0] == pytest.approx(0.625, rel=1e-12)
    assert quality(columns(), Profile(), 1)[0] == 1.0
    assert quality(columns(hash_word_ratio=0.0), Profile(max_hash_word_ratio=0.0), 1)[0] == 1.0


def test_a_changed_threshold_leaves_the_others_of_its_profile_as_they_come() -> None:
    params = validate(CurateParams, {"profiles": {"prose": {"min_words": 30}}}, "here")
    assert params.profiles == {**PROFILES, "prose": PROSE.model_copy(update={"min_words": 30})}


def test_a_source_given_a_profile_leaves_the_other_sources_as_they_come() -> None:
    params = CurateParams(profile_of_source={"poems": "code"})
    assert [params.profile_name(name) for name in ("poems", "tests", "letters")] == ["code", "code", "prose"]


def test_params_written_and_read_again_are_the_same() -> None:
    for params in (CurateParams(), CurateParams(profiles={"mine": Profile(min_words=1)}, near_duplicates=None)):
        assert CurateParams.model_validate(params.model_dump(mode="json")) == params


def test_a_new_profile_has_only_the_rules_it_names() -> None:
    mine = CurateParams(profiles={"mine": Profile(min_words=1)}).profiles["mine"]
    assert [rule.reason for _, rule, _ in active_rules(mine)] == ["too_few_words"]
    assert CODE.min_stop_words is None and CODE.min_alphabetic_word_fraction is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"default_profile": "web"}, "default_profile is 'web'"),
        ({"profile_of_source": {"code": "cobol"}}, "profile_of_source.code is 'cobol'"),
        ({"profiles": {"prose": {"min_words": 200, "max_words": 100}}}, "min_words is 200 but max_words is 100"),
        ({"profiles": {"prose": {"max_hash_word_ratio": math.nan}}}, "profiles.prose.max_hash_word_ratio"),
        ({"profiles": {"prose": {"max_bullet_line_fraction": 1.5}}}, "profiles.prose.max_bullet_line_fraction"),
        ({"profiles": {"prose": {"minimum_words": 5}}}, "minimum_words"),
        ({"profiles": ["prose"]}, "profiles"),
        ({"near_duplicates": {"bands": 0}}, "near_duplicates.bands"),
        ({"near_duplicates": {"min_jaccard": math.nan}}, "near_duplicates.min_jaccard"),
    ],
)
def test_a_mistake_in_the_params_is_refused_with_its_place(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=r"curate\.yaml") as refused:
        validate(CurateParams, values, "curate.yaml")
    assert said in str(refused.value)
