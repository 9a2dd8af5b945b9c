"""Rules, profiles and params: what a threshold means, and which mistakes are refused."""

import math

import numpy as np
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.params import validate
from tasks.curate.config import CurateParams
from tasks.curate.profiles import built_in, names
from tasks.curate.rules.datatrove import DEFAULTS
from tasks.curate.rules.decide import PASSES, decide, verdict, verdicts
from tasks.curate.rules.profile import Profile
from tasks.curate.rules.rule import explain
from tasks.curate.rules.table import INDEX, RULES

PROSE = built_in("prose")


def fine(profile: Profile) -> dict[str, float | str]:
    """Values far inside every threshold of a profile."""
    values: dict[str, float | str] = {}
    for _, rule, threshold in profile.active:
        match rule.side:
            case "at_least":
                values[rule.statistic] = 2 * threshold + 1
            case "at_most":
                values.setdefault(rule.statistic, 0.0)
            case "one_of":
                values[rule.statistic] = threshold[0]
    # What lies between two thresholds.
    return values | {
        name: 5.0 if name.endswith("mean_word_chars") else 1.0 if name.endswith("_fraction") else value
        for name, value in values.items()
        if f"min_{name}" in profile.rules
    }


def columns(profile: Profile, **changed: float | str) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in (fine(profile) | changed).items()}


def reason_of(profile: Profile, **changed: float | str) -> str | None:
    found = decide(columns(profile, **changed), ["p"], {"p": profile}).failed_rule_N[0]
    return None if found == PASSES else RULES[found].reason


@pytest.mark.parametrize("name", names())
def test_a_document_far_from_every_threshold_is_kept(name: str) -> None:
    assert reason_of(built_in(name)) is None


@pytest.mark.parametrize("name", names())
def test_a_value_at_its_threshold_passes_and_one_beyond_is_dropped_for_that_reason(name: str) -> None:
    profile = built_in(name)
    for _, rule, threshold in profile.active:
        if isinstance(threshold, float):
            beyond = threshold - 1e-9 if rule.side == "at_least" else threshold + 1e-9
            assert reason_of(profile, **{rule.statistic: threshold}) is None
            assert reason_of(profile, **{rule.statistic: beyond}) == rule.reason


@pytest.mark.parametrize("name", ["prose", "datatrove", "fineweb"])
def test_nan_passes_no_rule_that_is_on(name: str) -> None:
    for _, rule, threshold in built_in(name).active:
        if isinstance(threshold, float):
            only = Profile(rules={rule.threshold: threshold}, rewriting=built_in(name).rewriting)
            assert reason_of(only, **{rule.statistic: math.nan}) == rule.reason


def test_a_language_that_is_not_listed_is_dropped_and_the_detail_names_it() -> None:
    profile = Profile(rules={"languages": ("en", "de")})
    assert [reason_of(profile, language=one) for one in ("de", "fr", "")] == [None, "other_language", "other_language"]
    rule = RULES[INDEX["languages"]]
    assert verdict(rule, ("en", "de"), "fr", profile).detail == "language fr is not one of en, de"


def test_prose_and_gopher_have_the_thresholds_of_the_paper() -> None:
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
    wanted = quality_rules | {f"max_{name}_fraction": value for name, value in table.items()}
    assert PROSE.rules == built_in("gopher").rules == wanted


def test_the_profile_datatrove_has_its_rules_its_order_and_its_words() -> None:
    profile = built_in("datatrove")
    assert [rule.threshold for _, rule, _ in profile.active] == list(DEFAULTS) and profile.rules == DEFAULTS
    rule = RULES[INDEX["max_english_duplicate_line_fraction"]]
    told = verdict(rule, 0.3, 0.5, profile)
    assert (told.reason, told.detail) == (
        "dup_line_frac",
        "too_many_duplicate_lines: english_duplicate_line_fraction 0.5 > 0.3",
    )
    assert verdict(rule, 0.3, 0.5, built_in("fineweb")).reason == "too_many_duplicate_lines"


def test_every_threshold_belongs_to_one_rule_and_every_reason_to_one_rule_of_its_filter() -> None:
    assert len(INDEX) == len(RULES)
    assert len({(rule.filter, rule.reason) for rule in RULES}) == len(RULES)


def test_the_first_failing_rule_in_the_order_of_filters_gives_the_reason() -> None:
    bad = {"words": 3, "stop_words": 0, "top_2_gram_char_fraction": 1.0}
    assert reason_of(PROSE, **bad) == "too_few_words"
    turned = PROSE.model_copy(update={"filters": ("gopher_repetition", "gopher_quality")})
    assert reason_of(turned, **bad) == "too_many_characters_in_top_2_gram"


def test_the_detail_says_value_and_threshold_and_never_a_false_equality() -> None:
    few = columns(PROSE, words=31)
    found = verdicts(few, decide(few, ["p"], {"p": PROSE}).failed_rule_N, ["p"], {"p": PROSE})[0]
    assert found is not None
    assert (found.filter, found.reason, found.detail) == ("gopher_quality", "too_few_words", "words 31 < 50")
    rule = RULES[INDEX["max_duplicate_line_fraction"]]
    assert explain(rule, 0.3, 0.3000001) == "duplicate_line_fraction 0.3000001 > 0.3"


def test_failures_count_a_document_under_every_rule_it_fails() -> None:
    found = decide(columns(PROSE, words=3, stop_words=0), ["p"], {"p": PROSE})
    assert {reason for reason, number in found.failures["p"].items() if number} == {
        "too_few_words",
        "too_few_stop_words",
    }


def test_each_document_is_judged_by_its_own_profile() -> None:
    profiles = {name: built_in(name) for name in ("prose", "code")}
    values = fine(PROSE) | {"stop_words": 0}
    both = {name: np.array([value, value]) for name, value in values.items()}
    found = decide(both, ["prose", "code"], profiles)
    assert [RULES[found.failed_rule_N[0]].reason, found.failed_rule_N[1]] == ["too_few_stop_words", PASSES]
    assert found.documents == {"prose": 1, "code": 1}


def test_a_statistic_that_was_not_taken_is_an_error_that_names_its_group() -> None:
    with pytest.raises(DataError, match=r"pii_keys was not taken.*curate.annotate \(pii\)"):
        decide({"words": np.array([1])}, ["p"], {"p": Profile(rules={"max_pii_keys": 0})})


def test_a_changed_threshold_leaves_the_others_of_its_profile_as_they_come() -> None:
    params = validate(CurateParams, {"profiles": {"prose": {"rules": {"min_words": 30}}}}, "here")
    changed = params.profile_called("prose")
    assert changed.rules == {**PROSE.rules, "min_words": 30} and changed.filters == PROSE.filters
    assert params.profile_called("code") == built_in("code")


def test_a_rule_set_to_null_is_off() -> None:
    params = validate(CurateParams, {"profiles": {"prose": {"rules": {"min_stop_words": None}}}}, "here")
    assert reason_of(params.profile_called("prose"), words=3) == "too_few_words"
    assert "min_stop_words" not in {rule.threshold for _, rule, _ in params.profile_called("prose").active}


def test_a_source_given_a_profile_leaves_the_other_sources_as_they_come() -> None:
    params = CurateParams(profile_of_source={"poems": "code"})
    assert [params.profile_name(name) for name in ("poems", "tests", "letters")] == ["code", "code", "prose"]
    assert CurateParams(profile="gopher").profile_name("tests") == "gopher"


def test_params_written_and_read_again_are_the_same() -> None:
    mine = Profile(rules={"min_words": 1, "languages": ("en",)})
    for params in (CurateParams(), CurateParams(profiles={"mine": mine}, duplicates=None)):
        assert CurateParams.model_validate(params.model_dump(mode="json")) == params


def test_a_new_profile_has_only_the_rules_it_names() -> None:
    params = CurateParams.model_validate({"profiles": {"mine": {"rules": {"min_words": 1}}}})
    assert [rule.reason for _, rule, _ in params.profile_called("mine").active] == ["too_few_words"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"default_profile": "wiki"}, "default_profile is 'wiki'"),
        ({"profile": "wiki"}, "profile is 'wiki', which is no profile. Known: any_language, code, datatrove"),
        ({"profile_of_source": {"code": "cobol"}}, "profile_of_source.code is 'cobol'"),
        ({"profiles": {"prose": {"rules": {"min_words": 200, "max_words": 100}}}}, "min_words is 200 but max_words"),
        ({"profiles": {"prose": {"rules": {"max_hash_word_ratio": math.nan}}}}, "rules.max_hash_word_ratio"),
        ({"profiles": {"prose": {"rules": {"max_bullet_line_fraction": 1.5}}}}, "expected a number from 0 to 1"),
        ({"profiles": {"prose": {"rules": {"minimum_words": 5}}}}, "'minimum_words' is no rule. Like it: min_words"),
        ({"profiles": {"prose": {"rules": {"min_words": ["a"]}}}}, "rules.min_words: expected a number"),
        (
            {"profiles": {"prose": {"rules": {"max_pii_keys": 0}}}},
            "belongs to the filter pii, which `filters` leaves out",
        ),
        ({"profiles": {"p": {"rules": {"min_c4_sentences": 5}}}}, "Set rewriting.kind"),
        ({"profiles": {"p": {"rules": {"languages": 3}}}}, "expected a list of names"),
        ({"profiles": {"p": {"filters": ["gopher"]}}}, "'gopher' is no filter"),
        ({"profiles": ["prose"]}, "profiles"),
        ({"duplicates": {"near": {"kind": "fast", "bands": 0}}}, "near.fast.bands"),
        ({"annotate": ["tokens"]}, "annotators.tokens names no tokenizer"),
    ],
)
def test_a_mistake_in_the_params_is_refused_with_its_place(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=r"curate\.yaml") as refused:
        validate(CurateParams, values, "curate.yaml")
    assert said in str(refused.value)
