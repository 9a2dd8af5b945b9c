"""datatrove 0.10.1's decisions with thresholds over our statistics: its oracle, itself where installed, kernel and fallback.

Library defaults, English. A decision is (filter, reason) of the first rule that fails; a kept text is C4's rewritten one.
"""

import gzip
import json
import re
import string
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate.native import kernel
from tasks.curate.profiles import built_in, names
from tasks.curate.rewriting import c4
from tasks.curate.rewriting.c4 import C4Lines, c4_statistics, rewrite_and_count, rewrite_c4
from tasks.curate.rules.datatrove import DEFAULTS, RULES
from tasks.curate.rules.rule import fails
from tasks.curate.rules.table import INDEX
from tasks.curate.rules.table import RULES as EVERY_RULE
from tasks.curate.statistics import english
from tasks.curate.statistics.english import english_statistics
from tasks.curate.statistics.texts import Columns, Texts, texts_of
from tests import sampling

Decision = tuple[str | None, str | None]

FILTERS = ("english_repetition", "english_quality", "c4", "fineweb")
ORACLE_FILTERS = {"1_gopher_rep": FILTERS[0], "2_gopher_qual": FILTERS[1], "3_c4": FILTERS[2], "4_fineweb": FILTERS[3]}
FINEWEB_LINES = C4Lines(filter_no_terminal_punctuation=False)
EVERYTHING_OFF = C4Lines(
    max_word_chars=None,
    remove_citations=False,
    filter_no_terminal_punctuation=False,
    min_words_per_line=None,
    filter_lorem_ipsum=False,
    filter_javascript=False,
    filter_curly_bracket=False,
    filter_policy=False,
)


def decisions(columns: Mapping[str, Any], filters: Sequence[str] = FILTERS) -> list[Decision]:
    """The first rule of these filters that each document fails, under datatrove's defaults."""
    found: list[Decision] = [(None, None)] * len(next(iter(columns.values())))
    for rule in reversed([rule for rule in RULES if rule.filter in filters]):
        for row in np.flatnonzero(fails(rule, DEFAULTS[rule.threshold], columns[rule.statistic])).tolist():
            found[row] = rule.filter, rule.peer_reason
    return found


def statistics(texts: Texts, config: C4Lines = C4Lines()) -> tuple[Columns, list[str]]:  # noqa: B008
    """Every column that a rule looks at, and the rewritten texts."""
    rewritten, columns = rewrite_and_count(texts, config)
    return english_statistics(texts) | columns, rewritten.to_list()


def both(texts: list[str], config: C4Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that kernel and fallback agree to the last bit."""
    native, native_texts = statistics(texts_of(texts), config)
    with monkeypatch.context() as patch:
        without_kernel(patch)
        plain, plain_texts = statistics(texts_of(texts), config)
    assert native_texts == plain_texts
    assert native.keys() == plain.keys()
    for name, column in plain.items():
        assert column.dtype == native[name].dtype, name
        assert column.tobytes() == native[name].tobytes(), name


def without_kernel(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(english, "kernel", lambda name: None)
    patch.setattr(c4, "kernel", lambda name: None)


def documents(shared_data: Path, every: int = 1) -> dict[str, str]:
    """The corpus by id, or one of so many documents of each file."""
    found: dict[str, str] = {}
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            lines = list(stream)[::every]
        found |= {row["id"]: row["text"] for row in map(json.loads, lines)}
    return found


def oracle(shared_data: Path) -> dict[str, dict[str, Any]]:
    with gzip.open(shared_data / "oracles" / "datatrove_decisions.jsonl.gz", "rt", encoding="utf-8") as stream:
        return {row["id"]: row for row in map(json.loads, stream)}


def assert_decided_as_by_datatrove(texts: Mapping[str, str], expected: Mapping[str, Mapping[str, Any]]) -> None:
    columns, _ = statistics(texts_of(list(texts.values())))
    rows = [expected[name] for name in texts]
    theirs = [(ORACLE_FILTERS.get(row["filter"]), row["reason"]) for row in rows]
    wrong = [
        (name, ours, their)
        for name, ours, their in zip(texts, decisions(columns), theirs, strict=True)
        if ours != their
    ]
    assert not wrong, (len(wrong), wrong[:3])
    lengths = zip(columns["c4_characters"].tolist(), rows, strict=True)
    assert all(length == row["text_len_after"] for length, row in lengths if row["kept"])


@pytest.fixture
def native() -> None:
    if kernel("datatrove") is None:
        pytest.skip("the kernel datatrove is not compiled here: there is nothing to compare the fallback with")


# ---- datatrove's decisions -----------------------------------------------------------------------------------------


@sampling.every(12)
def test_documents_of_the_oracle_are_decided_as_datatrove_decided_them(
    shared_data: Path, native: None, every: int
) -> None:
    texts, expected = documents(shared_data, every), oracle(shared_data)
    assert len(texts) > 4900 and (every > 1 or texts.keys() == expected.keys())
    assert_decided_as_by_datatrove(texts, expected)


def test_the_fallback_decides_a_sample_of_the_oracle_as_datatrove_did(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kernel(monkeypatch)
    texts = documents(shared_data, every=800)
    assert len(texts) > 80
    assert_decided_as_by_datatrove(texts, oracle(shared_data))


def unseen_texts(every: int) -> list[str]:
    """Text that every machine has and no rule was made with: prose and code of Python's standard library."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::every]
    sources = [path.read_text(encoding="utf-8") for path in files]
    texts = [" ".join(string.printable), "", " \n ", "\n\n"]
    texts += [part for source in sources for part in (source[:4000], source[-2000:], " ".join(source.split()[:300]))]
    return [text + tail for text in texts for tail in ("", " It is so [3]. Lorem ipsum! Is it? Yes. {Well} no.\n")]


@sampling.every(24, whole=3)
@pytest.mark.parametrize("config", [C4Lines(), FINEWEB_LINES], ids=["library", "fineweb"])
def test_unseen_texts_are_decided_as_datatrove_itself_decides_them(config: C4Lines, every: int) -> None:
    peer, document_type = (
        pytest.importorskip("datatrove.pipeline.filters"),
        pytest.importorskip("datatrove.data").Document,
    )
    lines = peer.C4QualityFilter(filter_no_terminal_punct=config.filter_no_terminal_punctuation)
    steps = (peer.GopherRepetitionFilter(), peer.GopherQualityFilter(), lines, peer.FineWebQualityFilter())
    texts = unseen_texts(every)
    columns, rewritten = statistics(texts_of(texts), config)
    for first in (0, 2):  # the line rules also on what the document rules would have dropped
        for text, after, ours in zip(texts, rewritten, decisions(columns, FILTERS[first:]), strict=True):
            document = document_type(text=text, id="")
            results = ((name, step.filter(document)) for name, step in zip(FILTERS[first:], steps[first:], strict=True))
            theirs = next(((name, result[1]) for name, result in results if result is not True), (None, None))
            assert (ours, after if ours[0] in {None, "fineweb"} else text) == (theirs, document.text), text


def test_the_sets_of_characters_are_those_of_datatrove() -> None:
    theirs = pytest.importorskip("datatrove.utils.text")
    assert english.symbols() == theirs.PUNCTUATION_SET
    assert c4.TERMINAL_PUNCTUATION == theirs.TERMINAL_PUNCTUATION


# ---- Kernel and fallback -------------------------------------------------------------------------------------------

NASTY = r"""the be to of and that have with a.m. don't e.g. U.S. :-) (3) ... …… # - • — 1,000km/h http://x.y/z?q=1
IS_ALPHA [12] [٣] [edit] [citation needed] [ [] lorem LOREM ipsum Ipsum Javascript {x} terms of use CooKie policy uses
cookies ﷽ 北京。 สวัสดี ١٢ é ß İ ǅ 😀 ? ! " ' .' ..". a b ab c bc abc b/a. o'clock"""
PIECES = st.sampled_from([*re.findall(r"\S+", NASTY), "coo\u212aies", "x\u0301", "\u200b", "\x00"])
BLANKS = st.sampled_from(
    [" ", " ", " ", "  ", "\n", "\n", "\n\n", "\r\n", "\r", "\t", *"\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000"]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text("ab.\n ", max_size=60),
    st.lists(st.one_of(PIECES, PIECES, BLANKS, BLANKS, st.characters(exclude_categories=["Cs"]))).map("".join),
    st.lists(PIECES, max_size=40).map(" ".join),
    st.tuples(st.lists(st.one_of(PIECES, BLANKS), max_size=12).map("".join), st.integers(2, 6)).map(
        lambda part: part[0] * part[1]
    ),
)
CONFIGS = st.builds(
    C4Lines,
    max_word_chars=st.sampled_from([None, 3, 1000]),
    min_words_per_line=st.sampled_from([None, 1, 3]),
    remove_citations=st.booleans(),
    filter_no_terminal_punctuation=st.booleans(),
    filter_lorem_ipsum=st.booleans(),
    filter_javascript=st.booleans(),
    filter_curly_bracket=st.booleans(),
    filter_policy=st.booleans(),
)


@settings(max_examples=150)
@given(texts=st.lists(TEXTS, max_size=4), config=CONFIGS)
def test_kernel_and_fallback_agree_on_any_text(texts: list[str], config: C4Lines) -> None:
    if kernel("datatrove") is None:
        pytest.skip("the kernel datatrove is not compiled here: there is nothing to compare the fallback with")
    with pytest.MonkeyPatch.context() as patch:
        both(texts, config, patch)


@pytest.mark.parametrize("config", [C4Lines(), FINEWEB_LINES, EVERYTHING_OFF], ids=["library", "fineweb", "off"])
def test_kernel_and_fallback_agree_on_real_text(
    shared_data: Path, config: C4Lines, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    both([text[:2500] for text in documents(shared_data, every=1500).values()], config, monkeypatch)


def test_the_kernel_refuses_what_is_no_utf_8(native: None) -> None:
    broken = Texts(b"ok \xff", np.array([0, 4], np.int64))
    with pytest.raises(ValueError, match="UTF-8"):
        english_statistics(broken)


# ---- What the rules mean -------------------------------------------------------------------------------------------


@pytest.fixture(params=["kernel", "fallback"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the kernel, where there is one, and without."""
    if request.param == "fallback":
        without_kernel(monkeypatch)
    elif kernel("datatrove") is None:
        pytest.skip("the kernel datatrove is not compiled here")


def one(text: str, config: C4Lines = C4Lines()) -> dict[str, float]:  # noqa: B008
    columns = english_statistics(texts_of([text])) | c4_statistics(texts_of([text]), config)
    return {name: column[0].item() for name, column in columns.items()}


def rewritten(text: str, config: C4Lines = C4Lines()) -> str:  # noqa: B008
    return rewrite_c4(texts_of([text]), config).to_list()[0]


def test_an_empty_text_is_dropped_as_empty(either: None) -> None:
    columns, _ = statistics(texts_of(["", " "]))
    assert decisions(columns) == [("english_repetition", "empty"), ("english_quality", "gopher_short_doc")]


def test_of_equally_frequent_ngrams_the_first_counts_even_if_it_occurs_once(either: None) -> None:
    assert one("longest bb cc d")["english_top_2_gram_char_fraction"] == 10 / 15
    assert one("aa bb cc dd aa bb x cc dd")["english_top_2_gram_char_fraction"] == 10 / 25


def test_overlapping_occurrences_of_the_top_ngram_all_count(either: None) -> None:
    assert one("ha ha ha ha")["english_top_3_gram_char_fraction"] == 2 * 8 / 11


def test_duplicate_ngrams_are_joined_so_tokens_cut_elsewhere_are_the_same(either: None) -> None:
    text = "one two three four fives; o netwo three four fives"
    assert one(text)["english_duplicate_5_gram_char_fraction"] == 20 / len(text)


def test_a_repeated_ngram_is_jumped_over(either: None) -> None:
    text = " ".join("abcde" * 3)
    assert one(text)["english_duplicate_5_gram_char_fraction"] == 10 / len(text)
    assert one(text)["english_duplicate_6_gram_char_fraction"] == 6 / len(text)


def test_text_before_the_first_and_behind_the_last_newline_is_a_line_even_if_empty(either: None) -> None:
    assert one("\na\n")["english_duplicate_line_fraction"] == 1 / 3
    assert one("a\n\nb\n\na")["english_duplicate_paragraph_char_fraction"] == 1 / 7


def test_punctuation_split_off_counts_among_all_tokens_but_is_no_word(either: None) -> None:
    found = one("Well, yes.")
    assert (found["english_tokens"], found["english_words"]) == (4, 2)
    assert found["english_alphabetic_word_fraction"] == 0.5
    assert found["english_mean_word_chars"] == 3.5


def test_stop_words_count_in_lower_case_only(either: None) -> None:
    assert one("The the THE, of the.")["english_stop_words"] == 2


def test_a_citation_is_cut_out_but_its_words_count(either: None) -> None:
    assert rewritten("Well [1] then.\nNo [2].\nMore [edit] [citation needed] yes.") == "Well  then.\nMore   yes."
    assert rewritten("Well [1] then.", C4Lines(remove_citations=False)) == "Well [1] then."


def test_lines_are_counted_by_the_first_rule_that_removes_them(either: None) -> None:
    found = one(
        "x" * 1001
        + "\nno end\nToo few.\nUse JavaScript now.\nWe use cookies here.\nThis one is kept...\nAnd this stays."
    )
    names = ("too_long_word", "no_terminal_punctuation", "too_few_words", "javascript", "policy")
    assert [found[f"c4_lines_removed_{name}"] for name in names] == [1, 2, 1, 1, 1]
    assert (found["c4_lines_kept"], found["c4_characters"]) == (1, 15)


def test_the_kelvin_sign_is_a_k_as_it_is_for_lower(either: None) -> None:
    assert one("It uses coo\u212aies here.")["c4_lines_removed_policy"] == 1


@pytest.mark.parametrize(
    "text", ["Lorem Ipsum is here.\nA {b} c.", "Lorem ipsum is {here}.", "Lorem ipsum javascript x.\n{ a b."]
)
def test_only_the_first_line_that_condemns_the_document_counts(text: str, either: None) -> None:
    assert (one(text)["c4_lorem_ipsum"], one(text)["c4_curly_bracket"]) == (1, 0)
    off = one(text, C4Lines(filter_lorem_ipsum=False))
    assert (off["c4_lorem_ipsum"], off["c4_curly_bracket"]) == (0, 1)
    assert off["c4_lines_kept"] == one(text)["c4_lines_kept"]


def test_blanks_behind_a_full_stop_are_a_sentence_and_so_is_an_empty_line(either: None) -> None:
    lines = EVERYTHING_OFF.model_copy(update={"remove_citations": True})
    counts = [
        one(text, lines)["c4_sentences"]
        for text in ("It is. So be.", "It is.  [1]", "It is. [1]", "It is  [1]", "[1]", "A\n\nb")
    ]
    assert counts == [2, 2, 1, 1, 1, 3]


def test_fineweb_looks_at_the_rewritten_text(either: None) -> None:
    found = one("gone line\nA line of text.\nA line of text.\nAnother line that is longer than thirty.")
    assert found["fineweb_lines"] == 3
    assert found["fineweb_terminal_punctuation_line_fraction"] == 1
    assert found["fineweb_short_line_fraction"] == 2 / 3
    assert found["fineweb_duplicate_line_char_fraction"] == 15 / 70
    assert found["fineweb_newline_word_ratio"] == 2 / 18


def test_the_kelvin_sign_is_the_only_character_that_lower_makes_a_letter_of_a_phrase() -> None:
    phrases = ("lorem ipsum", "javascript", *c4.POLICIES)
    letters = set("".join(phrases))
    wide = {char for char in map(chr, range(128, sys.maxunicode + 1)) if letters & set(char.lower())}
    assert wide == {"\u212a", "\u0130"}
    # U+0130 gives "i" and a dot above, which no phrase ends in.
    assert not any(phrase.endswith("i") for phrase in phrases)


def test_a_page_that_line_rules_gut_is_dropped_for_that_by_web_and_by_no_published_profile() -> None:
    java = "public final class Counter {\n" + "    private int count;\n    return;\n  }\n" * 40 + "}\n"
    article = "The river was high that day, and the men carried the stones up.\n" * 3 + "Home\n"
    found = c4_statistics(texts_of([java, article]), C4Lines(filter_no_terminal_punctuation=False))
    rule = EVERY_RULE[INDEX["min_c4_kept_char_fraction"]]
    limit = built_in("web").rules[rule.threshold]
    assert isinstance(limit, float)
    assert fails(rule, limit, found["c4_kept_char_fraction"]).tolist() == [True, False]
    assert found["c4_kept_char_fraction"][1] == pytest.approx(1 - len("\nHome\n") / len(article))
    assert rule.reason == "gutted_by_line_rules"
    assert [name for name in names() if rule.threshold in built_in(name).rules] == ["web"]
