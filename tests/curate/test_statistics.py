"""The statistics: by hand on tiny texts, and against an implementation that is slow and obvious."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate.statistics.gopher import COUNTS, STATISTICS, gopher_statistics
from tasks.curate.statistics.lines import BULLETS
from tasks.curate.statistics.texts import Columns, texts_of
from tasks.curate.statistics.words import STOP_WORDS, batches


def annotate(texts: list[str]) -> Columns:
    return gopher_statistics(texts_of(texts))


def of(text: str) -> dict[str, float]:
    return {name: column[0].item() for name, column in annotate([text]).items()}


def slow(text: str) -> dict[str, float]:
    """Every definition once more, one word and one character at a time."""
    words = text.split()
    chars = sum(len(word) for word in words)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    result: dict[str, float] = {
        "characters": len(text),
        "words": len(words),
        "stop_words": sum(any(w in (s, s.capitalize(), s.upper()) for w in words) for s in STOP_WORDS),
        "lines": len(lines),
        "mean_word_chars": share(chars, len(words)),
        "hash_word_ratio": share(text.count("#"), len(words)),
        "ellipsis_word_ratio": share(text.count("...") + text.count("…"), len(words)),
        "alphabetic_word_fraction": share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "bullet_line_fraction": share(sum(line[0] in BULLETS for line in lines), len(lines)),
        "ellipsis_line_fraction": share(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
    }
    for name, parts in (("line", lines), ("paragraph", paragraphs)):
        again = [part for i, part in enumerate(parts) if part in parts[:i]]
        result[f"duplicate_{name}_fraction"] = share(len(again), len(parts))
        result[f"duplicate_{name}_char_fraction"] = share(sum(map(len, again)), sum(map(len, parts)))
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        covered = top_words(grams, n) if n < 5 else repeated_words(grams, n)
        name = "top" if n < 5 else "duplicate"
        result[f"{name}_{n}_gram_char_fraction"] = share(sum(len(words[i]) for i in covered), chars)
    return result


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def top_words(grams: list[tuple[str, ...]], n: int) -> set[int]:
    counts = Counter(grams)
    often = [gram for gram in counts if counts[gram] > 1]
    if not often:
        return set()
    top = max(often, key=lambda gram: (counts[gram], sum(map(len, gram)), -grams.index(gram)))
    return {i + k for i, gram in enumerate(grams) if gram == top for k in range(n)}


def repeated_words(grams: list[tuple[str, ...]], n: int) -> set[int]:
    return {i + k for i, gram in enumerate(grams) if gram in grams[:i] for k in range(n)}


# Few different words, so that they repeat; blanks and breaks of several kinds, so that lines and paragraphs do.
words = st.sampled_from(
    ["a", "the", "The", "be", "to", "of", "und", "x1", "12", "#", "...", "•", "-", "é", "²", "wait…"]
)
gaps = st.sampled_from([" ", " ", " ", "  ", "\n", "\n", "\n\n", "\n \n", "\r\n", "\t", "\u2028"])
texts = st.lists(st.tuples(words, gaps), max_size=60).map(lambda parts: "".join(word + gap for word, gap in parts))
anything = st.text(max_size=80)


@given(st.lists(texts | anything, max_size=6))
@settings(max_examples=300)
def test_every_statistic_agrees_with_the_slow_and_obvious_implementation(documents: list[str]) -> None:
    columns = annotate(documents)
    for row, document in enumerate(documents):
        for name, expected in slow(document).items():
            assert math.isclose(columns[name][row], expected, rel_tol=1e-12), (name, document)


@given(st.lists(texts, min_size=1, max_size=8), st.data())
@settings(max_examples=60)
def test_a_document_has_the_same_statistics_alone_and_among_others(documents: list[str], data: st.DataObject) -> None:
    together = annotate(documents)
    row = data.draw(st.integers(0, len(documents) - 1))
    alone = annotate([documents[row]])
    assert all(together[name][row] == alone[name][0] for name in STATISTICS)


@given(texts)
def test_every_fraction_lies_between_zero_and_one(text: str) -> None:
    found = of(text)
    assert all(0.0 <= value <= 1.0 for name, value in found.items() if name.endswith("fraction"))


def test_the_statistics_of_a_small_text_are_those_counted_by_hand() -> None:
    found = of("The cat and the dog.\n- 12 cats...\n")
    # Words: The cat and the dog. - 12 cats... = 8, of 3+3+3+3+4+1+2+7 = 26 characters.
    assert (found["words"], found["mean_word_chars"]) == (8, 26 / 8)
    assert (found["characters"], found["lines"]) == (34, 2)
    assert found["stop_words"] == 2  # "The" and "the" are one, and "and"
    assert found["ellipsis_word_ratio"] == 1 / 8
    assert found["alphabetic_word_fraction"] == 6 / 8  # not "-", not "12"
    assert (found["bullet_line_fraction"], found["ellipsis_line_fraction"]) == (1 / 2, 1 / 2)


def test_a_duplicate_n_gram_covers_its_words_once_even_where_it_overlaps_itself() -> None:
    # Six times "a": the 5-gram starts at 0 and 1; the second one is the duplicate and covers words 1..5 of 6.
    assert of("a a a a a a")["duplicate_5_gram_char_fraction"] == 5 / 6
    # Two occurrences of "one two three four five": the second one, 19 of 38 characters.
    assert of("one two three four five " * 2)["duplicate_5_gram_char_fraction"] == 19 / 38


def test_the_top_n_gram_counts_only_if_it_occurs_twice() -> None:
    assert of("the quick brown fox")["top_2_gram_char_fraction"] == 0.0
    # "of the" occurs twice: 2 * 5 of 5 + 4 + 5 + 4 = 18 characters.
    assert of("of the wind of the rain")["top_2_gram_char_fraction"] == 10 / 18


def test_of_equally_frequent_n_grams_the_longest_counts() -> None:
    # "a b" and "ccc ddd" twice each; 12 of 17 characters, not 4.
    assert of("a b x ccc ddd y a b z ccc ddd")["top_2_gram_char_fraction"] == 12 / 19


def test_duplicate_lines_are_those_that_stood_there_before() -> None:
    found = of("same\nsame\n  same  \nother line\n")
    assert found["duplicate_line_fraction"] == 2 / 4
    assert found["duplicate_line_char_fraction"] == 8 / 22
    assert found["duplicate_paragraph_fraction"] == 0.0


def test_paragraphs_are_what_stands_between_blank_lines() -> None:
    found = of("one\ntwo\n\nthree\n \t\none\ntwo\r\n\r\nfour")
    assert found["duplicate_paragraph_fraction"] == 1 / 4


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00", "word", "#", "...", "•"])
def test_a_text_of_next_to_nothing_has_finite_statistics(text: str) -> None:
    found = of(text)
    assert all(math.isfinite(value) for value in found.values())
    assert found["words"] == len(text.split())


def test_no_documents_give_empty_columns_of_the_right_types() -> None:
    columns = annotate([])
    assert all(len(column) == 0 for column in columns.values())
    assert all(columns[name].dtype == (np.int64 if name in COUNTS else np.float64) for name in STATISTICS)


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 40))
def test_batches_take_every_document_once_and_stay_below_the_limit(sizes: list[int], limit: int) -> None:
    found = list(batches(sizes, limit))
    assert [i for part in found for i in range(part.start, part.stop)] == list(range(len(sizes)))
    assert all(part.stop - part.start == 1 or sum(sizes[part]) <= limit for part in found)
