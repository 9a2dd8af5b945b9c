"""Quality: between 0 and 1, the same under every profile, and blind to length and language."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.curate.profiles import built_in
from tasks.curate.rules.decide import quality
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.gopher import STATISTICS, gopher_statistics
from tasks.curate.statistics.texts import texts_of

CLEAN = {name: np.zeros(1) for name in STATISTICS} | {"alphabetic_word_fraction": np.ones(1)}
RATES = [rule.statistic for _, rule, _ in built_in("gopher").active if rule.statistic.endswith(("_fraction", "_ratio"))]


@given(st.dictionaries(st.sampled_from(STATISTICS), st.floats(0, 1e6)))
def test_quality_lies_between_zero_and_one(changed: dict[str, float]) -> None:
    found = quality(CLEAN | {name: np.array([value]) for name, value in changed.items()}, 1)
    assert 0.0 <= found[0] <= 1.0


def test_quality_is_the_mean_head_room_under_gophers_limits_on_rates() -> None:
    # Nothing repeats: 1 for each; all words alphabetic, of at least 0.8: 0.25.
    clean = (len(RATES) - 1 + 0.25) / len(RATES)
    assert quality(CLEAN, 1)[0] == pytest.approx(clean, rel=1e-12)
    # 0.025 of at most 0.1: 0.75.
    hashes = quality(CLEAN | {"hash_word_ratio": np.array([0.025])}, 1)
    assert hashes[0] == pytest.approx(clean - 0.25 / len(RATES), rel=1e-12)


@pytest.mark.parametrize("statistic", ["words", "stop_words", "mean_word_chars"])
def test_neither_length_nor_language_has_a_say_in_quality(statistic: str) -> None:
    assert quality(CLEAN | {statistic: np.array([7.0])}, 1) == quality(CLEAN | {statistic: np.array([90.0])}, 1)


def test_copies_whose_words_were_counted_by_different_rules_have_comparable_qualities() -> None:
    texts = texts_of([" ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(200))])
    ours, datatroves = quality(gopher_statistics(texts), 1), quality(english_statistics(texts), 1)
    assert ours[0] == pytest.approx(datatroves[0], abs=0.02)
    both = gopher_statistics(texts) | english_statistics(texts)
    assert quality(both, 1) == ours
    untaken = {name: np.array([np.nan]) for name in gopher_statistics(texts)}
    assert quality(untaken | english_statistics(texts), 1) == datatroves


def test_a_text_of_which_nothing_was_counted_is_as_good_as_any() -> None:
    assert quality({"url_hard_words": np.zeros(2)}, 2).tolist() == [1.0, 1.0]
