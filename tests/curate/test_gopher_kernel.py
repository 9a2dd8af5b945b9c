"""The compiled kernel of the Gopher statistics and of pre-tokens gives what its fallback gives, bit by bit."""

import gzip
import json
import unicodedata
from itertools import islice
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import scripts
from tasks.curate.native import kernel
from tasks.curate.statistics import gopher
from tasks.curate.statistics import pretokens as pretokens_module
from tasks.curate.statistics.gopher import COUNTED, STATISTICS, WordRule, gopher_counts, gopher_statistics
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.texts import Texts, texts_of
from tests.curate.nasty import nasty

# Few words, so that n-grams, lines and paragraphs repeat.
repetitive = st.lists(st.sampled_from(["a", "b", "cc", "é", "\n", "\n\n", " \n"]), max_size=60).map(" ".join)


@pytest.fixture
def compiled() -> ModuleType:
    module = kernel("gopher")
    if module is None:
        pytest.skip("the kernel gopher is not compiled here: there is nothing to compare the fallback with")
    return module


def in_python(texts: Texts, words: WordRule = "blanks") -> tuple[dict[str, np.ndarray], np.ndarray]:
    with patch.object(gopher, "kernel", return_value=None), patch.object(pretokens_module, "kernel", return_value=None):
        return gopher_counts(texts, words), pretokens(texts)


def assert_same(texts: Texts) -> None:
    rules: tuple[WordRule, ...] = ("blanks", "script")
    for words in rules:
        counts, tokens = in_python(texts, words)
        native = gopher_counts(texts, words)
        assert list(native) == list(COUNTED) and set(native) == set(counts)
        for name in COUNTED:
            differ = np.flatnonzero(native[name] != counts[name])
            assert len(differ) == 0, (words, name, texts.to_list()[differ[0]][:500], native[name][differ[0]])
    assert (pretokens(texts) == tokens).all()


@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_count_the_same_in_nasty_text() -> None:
    @given(st.lists(nasty | repetitive, max_size=8))
    @settings(max_examples=150)
    def check(documents: list[str]) -> None:
        assert_same(texts_of(documents))

    check()


@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_agree_on_the_class_of_every_character() -> None:
    # All that are not just one more letter of a large script, and some of those and of what is not assigned.
    common = ("Lo", "Cn", "Co", "Cs")
    points = [p for p in range(0x110000) if unicodedata.category(chr(p)) not in common or p % 97 == 0]
    every = [chr(p) for p in points if not 0xD800 <= p < 0xE000]
    # As a letter or not, a digit or not, a blank, a line break, a bullet and an end of a line.
    documents = [f"x{c}y {c}{c} 1{c}2 {c}\n{c}a{c}\nb{c}\n\n{c}" for c in every]
    assert len(documents) > 15_000
    # The kernel's blocks of scripts without blanks are those of Python: what lies at both ends, and outside of them.
    edges = [chr(p + step) for block in scripts.UNSPACED for p in block for step in (-1, 0, 1)]
    assert_same(texts_of([f"{c}{c}1{c}x{c}" for c in edges]))
    assert_same(texts_of(["".join(documents[i : i + 20]) for i in range(0, len(documents), 20)]))


@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_count_the_same_in_real_text(shared_data: Path) -> None:
    documents = []
    for path in sorted((shared_data / "corpus").glob("*-000.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            documents += [json.loads(line)["text"] for _, line in zip(range(25), lines, strict=False)]
    assert len(documents) > 500
    assert_same(texts_of(documents))


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_kernel_and_fallback_count_the_same_in_a_third_of_the_whole_corpus(shared_data: Path) -> None:
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            assert_same(texts_of([json.loads(line)["text"] for line in islice(lines, 0, None, 3)]))


@given(st.lists(repetitive, max_size=5))
@settings(max_examples=40)
def test_statistics_are_the_same_with_and_without_the_kernel(documents: list[str]) -> None:
    texts = texts_of(documents)
    with patch.object(gopher, "kernel", return_value=None):
        fallback = gopher_statistics(texts)
    found = gopher_statistics(texts)
    assert list(found) == list(fallback) == list(STATISTICS)
    for name in STATISTICS:
        assert found[name].dtype == fallback[name].dtype and (found[name] == fallback[name]).all()


def test_texts_in_the_middle_of_a_buffer_are_read_from_there(compiled: ModuleType) -> None:
    texts = texts_of(["left out", "one two two", "three"])
    middle = Texts(texts.data, texts.offsets[1:])
    assert gopher_counts(middle)["words"].tolist() == [3, 1]


def test_bytes_that_are_no_text_are_refused(compiled: ModuleType) -> None:
    for broken in (b"ab\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
        with pytest.raises(ValueError, match="not valid UTF-8"):
            gopher_counts(Texts(broken, np.array([0, len(broken)])))


def test_a_result_of_the_wrong_size_and_offsets_outside_the_data_are_refused(compiled: ModuleType) -> None:
    with pytest.raises(ValueError, match="another size"):
        compiled.gopher_counts(b"abc", np.array([0, 3]), np.zeros((1, len(COUNTED) - 1), np.int64), None)
    with pytest.raises(ValueError, match="outside the data"):
        compiled.gopher_counts(b"abc", np.array([0, 4]), np.zeros((1, len(COUNTED)), np.int64), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        (" \n\u2028", 0),
        ("word", 1),
        ("two words", 2),
        ("Hello, world!", 4),
        ("abc123", 2),
        ("12.50", 3),
        ("a_b", 3),
        ("...", 3),
        ("x²y½", 4),  # neither is a letter or a decimal digit
        ("٣٤", 1),
        ("漢字かな", 4),  # a run would be a whole clause
        ("ดาว ok", 4),
        ("한국어", 1),
        ("e\u0301te", 3),  # a combining accent is no letter
        ("😀😀", 2),
    ],
)
def test_pretokens_are_runs_of_letters_runs_of_digits_and_single_signs(text: str, expected: int) -> None:
    texts = texts_of([text])
    assert pretokens(texts).tolist() == [expected]
    assert in_python(texts)[1].tolist() == [expected]


@given(nasty)
@settings(max_examples=100)
def test_pretokens_agree_with_the_slow_and_obvious_count(text: str) -> None:
    def kind(c: str) -> str:
        if any(first <= ord(c) <= last for first, last in scripts.UNSPACED) and not c.isdecimal():
            return "sign"
        return "letter" if c.isalpha() else "digit" if c.isdecimal() else "blank" if c.isspace() else "sign"

    kinds = [kind(c) for c in text]
    before = ["blank", *kinds[:-1]]
    expected = sum(k == "sign" or (k != "blank" and k != b) for k, b in zip(kinds, before, strict=False))
    assert pretokens(texts_of([text])).tolist() == [expected]
