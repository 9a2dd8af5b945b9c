"""RefinedWeb's line rules: by hand on small texts, and the kernel against its fallback."""

import gzip
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate.native import kernel
from tasks.curate.rewriting import refinedweb
from tasks.curate.rewriting.refinedweb import (
    INTEGERS,
    REMOVALS,
    STATISTICS,
    RefinedWebLines,
    refinedweb_statistics,
    rewrite_and_count,
    rewrite_refinedweb,
    without_urls,
)
from tasks.curate.statistics.texts import texts_of
from tests.curate.nasty import nasty

DEFAULTS = RefinedWebLines()
OFF = RefinedWebLines(
    remove_urls=False,
    max_consecutive_newlines=None,
    max_uppercase_fraction=None,
    max_numeric_fraction=None,
    remove_counters=False,
    min_line_words=None,
    phrases=(),
    suffixes=(),
    prefixes=(),
)
GOOD = "this line stays as it is"


def only(**rule: Any) -> RefinedWebLines:
    return OFF.model_copy(update=rule)


def rewritten(text: str, config: RefinedWebLines = DEFAULTS) -> str:
    return rewrite_refinedweb(texts_of([text]), config).to_list()[0]


def of(text: str, config: RefinedWebLines = DEFAULTS) -> dict[str, float]:
    columns = refinedweb_statistics(texts_of([text]), config)
    return {name.removeprefix("refinedweb_"): column[0].item() for name, column in columns.items()}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("BREAKING NEWS today", "uppercase"),  # 12 of 19 characters
        ("1234", "numeric"),
        ("²²", "numeric"),  # str.isdigit
        ("3 likes", "counter"),
        ("(1,234.5k Views)", "counter"),
        ("7m  downloads!", "counter"),
        ("word", "short"),
        ("items in cart", "phrase"),
        ("  Items In Cart  ", "phrase"),
    ],
)
def test_a_line_that_fails_a_rule_goes_and_is_counted_under_it(line: str, reason: str) -> None:
    text = f"{GOOD}\n{line}\n{GOOD}"
    assert rewritten(text) == f"{GOOD}\n{GOOD}"
    found = of(text)
    assert {name: found[f"lines_removed_{name}"] for name in REMOVALS} == {n: int(n == reason) for n in REMOVALS}
    assert found["lines_kept"] == 2


@pytest.mark.parametrize(
    "line",
    [
        "ABcd",  # with a second word below: exactly half upper case stays
        "route 66",
        "3 likes were given",
        "likes 3",
        "3 kites",
        "two words",
        "there were no items in cart because nobody came to the shop",  # 12 words: more than 10
    ],
)
def test_a_line_at_the_limit_or_beside_a_rule_stays(line: str) -> None:
    assert rewritten(
        f"{line}\n{GOOD}", only(max_uppercase_fraction=0.5, remove_counters=True, phrases=("items in cart",))
    )
    assert line in rewritten(f"{line}\n{GOOD}", DEFAULTS.model_copy(update={"min_line_words": None}))


def test_each_limit_is_the_last_value_that_stays() -> None:
    assert rewritten("12ab\n123a", only(max_numeric_fraction=0.5)) == "12ab"
    assert rewritten("ABcd\nABCd", only(max_uppercase_fraction=0.5)) == "ABcd"
    assert rewritten("two words\none", only(min_line_words=2)) == "two words"
    assert rewritten("one two items in cart", only(phrases=("items in cart",), phrase_max_words=5)) == "one two"
    unchanged = "one two items in cart"
    assert rewritten(unchanged, only(phrases=("items in cart",), phrase_max_words=4)) == unchanged


def test_phrases_are_cut_with_a_blank_beside_them_and_the_rest_of_the_line_stays() -> None:
    assert rewritten(f"you have 3 items in cart now\n{GOOD}") == f"you have 3 now\n{GOOD}"
    assert rewritten(f"{GOOD} Read More...\n{GOOD}") == f"{GOOD}\n{GOOD}"
    assert rewritten(f"Sign-in or join us\n{GOOD}") == f"or join us\n{GOOD}"
    # A suffix or prefix elsewhere is none.
    assert rewritten(f"read more... or not\n{GOOD}") == f"read more... or not\n{GOOD}"
    assert of(f"Sign-in to see items in cart here\n{GOOD}")["line_cuts"] == 2


def test_a_later_rule_sees_what_the_rules_before_it_left() -> None:
    # Behind the upper-case line the number leads the text and is stripped, so it is nothing but digits.
    assert rewritten("ALL CAPITALS\n  2024\nand so on") == "and so on"
    assert of("ALL CAPITALS\n  2024\nand so on")["lines_removed_numeric"] == 1


def test_a_text_that_loses_every_line_is_empty_and_lost_all_its_words() -> None:
    found = of("ONE\nTWO\n3")
    assert rewritten("ONE\nTWO\n3") == ""
    assert (found["lines_kept"], found["removed_word_fraction"]) == (0, 1.0)


def test_the_removed_words_are_a_fraction_of_those_that_start_with_a_letter_or_digit() -> None:
    # 6 + 2 words ("-" is none), of which "alone" and "x" go.
    assert of(f"{GOOD}\nalone -\nx", only(min_line_words=3))["removed_word_fraction"] == 2 / 8


def test_urls_and_addresses_are_cut_with_the_blanks_before_them() -> None:
    assert without_urls("See https://example.org/a?b=c, or 10.0.0.1:80.") == "See, or"
    assert without_urls("mail me@example.com now") == "mail now"
    assert without_urls("a" + " " * 12 + "www.example.com b") == "a   b"  # ten of the twelve blanks
    assert without_urls("version 1.2.3 of example.notadomain, e.g. this") == (
        "version 1.2.3 of example.notadomain, e.g. this"
    )
    assert rewritten(f"{GOOD} http://a.com/x", only(remove_urls=True)) == GOOD
    assert rewritten(f"{GOOD} http://a.com/x", OFF) == f"{GOOD} http://a.com/x"


def test_newlines_in_a_row_are_limited() -> None:
    assert rewritten("a b\n\n\n\nc d\n\ne f", only(max_consecutive_newlines=2)) == "a b\n\nc d\n\ne f"
    assert rewritten("a b\n\n\n\nc d", only(max_consecutive_newlines=1)) == "a b\nc d"


@given(nasty)
@settings(max_examples=60)
def test_with_every_rule_off_the_text_is_the_same(text: str) -> None:
    assert rewritten(text, OFF) == text


@given(nasty)
@settings(max_examples=60)
def test_kept_and_removed_lines_add_up_to_those_that_are_not_blank(text: str) -> None:
    config = DEFAULTS.model_copy(update={"remove_urls": False})
    found = of(text, config)
    lines = sum(line.strip() != "" for line in text.split("\n"))
    assert found["lines_kept"] + sum(found[f"lines_removed_{reason}"] for reason in REMOVALS) == lines


def test_the_document_statistics_of_a_small_text_are_those_counted_by_hand() -> None:
    found = of("• The End, the END...\n- 12 and _x 3 . . .\n\nthe the", OFF)
    # Whitespace words: • The End, the END... - 12 and _x 3 . . . the the
    assert found["words"] == 4 + 3 + 2  # those that start with a letter or digit
    assert found["stop_word_occurrences"] == 5  # The, the, and, the, the
    assert found["mean_word_chars"] == (1 + 3 + 4 + 3 + 6 + 1 + 2 + 3 + 2 + 1 + 1 + 1 + 1 + 3 + 3) / 15
    assert found["nonalphabetic_word_fraction"] == 7 / 15  # • - 12 3 . . .
    assert found["symbol_word_ratio"] == 2 / 15
    assert (found["bullet_line_fraction"], found["ellipsis_line_fraction"]) == (2 / 3, 2 / 3)


def test_every_occurrence_of_a_repeated_line_or_n_gram_counts() -> None:
    found = of("one two\nthree four\none two\n\n", OFF)
    assert found["repeated_line_fraction"] == 2 / 3
    assert found["repeated_line_char_fraction"] == 14 / 24
    assert found["repeated_paragraph_fraction"] == 0
    # "one two" occurs twice: 12 of the 21 characters of words.
    assert found["top_2_gram_char_ratio"] == 12 / 21
    # "a a" occurs 5 times in 6 words: 10 characters, though the words have 6.
    assert of("a a a a a a", OFF)["top_2_gram_char_ratio"] == 10 / 6
    assert of("a b c d e. x a b c d e", OFF)["repeated_5_gram_char_fraction"] == 10 / 11


def test_words_of_n_grams_keep_their_inner_signs_and_lose_the_outer_ones() -> None:
    # (don't) and "don't" are one word; 3,000.5 is one; _x is none.
    assert of("(don't) stop, \"don't\" stop", OFF)["top_2_gram_char_ratio"] == 1.0
    assert of("3,000.5 _x 3,000.5", OFF)["top_2_gram_char_ratio"] == 0.0
    assert of("a:b a, b a:b a", OFF)["top_2_gram_char_ratio"] == 8 / 9
    assert of("3,x 3,x", OFF)["top_2_gram_char_ratio"] == 1.0  # a comma only joins digits
    assert of("_x _x _x", OFF)["top_2_gram_char_ratio"] == 0.0


configs = st.builds(
    lambda upper, numeric, counters, words, most, phrases, suffixes, prefixes: only(
        max_uppercase_fraction=upper,
        max_numeric_fraction=numeric,
        remove_counters=counters,
        min_line_words=words,
        phrase_max_words=most,
        phrases=phrases,
        suffixes=suffixes,
        prefixes=prefixes,
    ),
    st.sampled_from([None, 0.0, 0.2, 0.5, 1.0]),
    st.sampled_from([None, 0.3, 0.999999]),
    st.booleans(),
    st.sampled_from([None, 1, 2, 4]),
    st.sampled_from([None, 1, 10]),
    st.sampled_from([(), ("items in cart",), ("a", "É", "word")]),
    st.sampled_from([(), ("Read more...",), ("...", "more...", "a")]),
    st.sampled_from([(), ("Sign-in",), ("a", "the")]),
)


def assert_same(documents: list[str], config: RefinedWebLines) -> None:
    texts = texts_of(documents)
    found, columns = rewrite_and_count(texts, config)
    with patch.object(refinedweb, "kernel", return_value=None):
        expected, expected_columns = rewrite_and_count(texts, config)
    assert found.to_list() == expected.to_list()
    assert list(columns) == list(expected_columns)
    assert set(columns) == set(STATISTICS)
    for name in STATISTICS:
        assert columns[name].dtype == expected_columns[name].dtype == (np.int64 if name in INTEGERS else np.float64)
        differ = np.flatnonzero(columns[name] != expected_columns[name])
        assert len(differ) == 0, (name, documents[differ[0]][:500])


@pytest.fixture
def compiled() -> None:
    if kernel("refinedweb") is None:
        pytest.skip("the kernel refinedweb is not compiled here: there is nothing to compare the fallback with")


@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_leave_and_count_the_same_in_nasty_text() -> None:
    @given(st.lists(nasty, max_size=6), configs)
    @settings(max_examples=200)
    def check(documents: list[str], config: RefinedWebLines) -> None:
        assert_same(documents, config)

    check()


@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_leave_and_count_the_same_in_real_text(shared_data: Path) -> None:
    documents = []
    for path in sorted((shared_data / "corpus").glob("*-000.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            documents += [json.loads(line)["text"] for _, line in zip(range(10), lines, strict=False)]
    assert len(documents) > 200
    assert_same(documents, DEFAULTS)


def test_a_phrase_of_nothing_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="1 of 2 are empty"):
        RefinedWebLines(phrases=("fine", ""))
    with pytest.raises(pydantic.ValidationError, match="blanks at an end"):
        RefinedWebLines(suffixes=("more ",))
