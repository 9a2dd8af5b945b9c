"""Paragraphs and lines that repeat across documents: who keeps them, what is cut, and that every byte is accounted for."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.curate.dedup.config import Duplicates, Repeats
from tasks.curate.dedup.repeats.pieces import Level, normalised, outside, pieces, without
from tasks.curate.published.funnel import RepeatedPieces
from tests.curate.dedup_shards import Doc, by_id, counts_of, found_in, kept_texts, table
from tests.curate.nasty import nasty

FOOTER = "Subscribe to our letter and follow us everywhere."
LINES = Duplicates(documents=False, near=None, lines=Repeats(min_chars=10))
PARAGRAPHS = Duplicates(documents=False, near=None, paragraphs=Repeats(min_chars=10))


def cut(folder: Path, docs: dict[str, str], params: Duplicates, shards: int = 1) -> dict[str, str]:
    every = [Doc(name, text) for name, text in docs.items()]
    parts = [every[i::shards] for i in range(shards)]
    return kept_texts(found_in(folder, parts, params), parts)


def test_the_document_with_the_smallest_id_keeps_a_line(tmp_path: Path) -> None:
    docs = {name: f"What {name} says.\n{FOOTER}\nMore of it." for name in "cab"}
    expected = {name: text if name == "a" else text.replace(f"{FOOTER}\n", "") for name, text in docs.items()}
    for shards in (1, 3):
        assert cut(tmp_path, docs, LINES, shards) == {**expected, "b": "What b says.\n", "c": "What c says.\n"}


def test_case_and_blanks_do_not_hide_a_repetition_and_short_lines_are_left(tmp_path: Path) -> None:
    docs = {"a": f"One.\n{FOOTER}", "b": f"One.\n  {FOOTER.upper().replace(' ', '   ')}\t\n"}
    assert cut(tmp_path, docs, LINES) == {"a": docs["a"], "b": "One.\n"}


def test_boilerplate_goes_everywhere_and_only_where_it_stands_in_enough_documents(tmp_path: Path) -> None:
    docs = {f"d{i}": f"{'Read this first, please.' if i < 3 else 'Or do not read.'}\n{FOOTER}\n{i}" for i in range(4)}
    rule = Repeats(min_chars=10, min_documents=4, keep_first=False)
    found = cut(tmp_path, docs, LINES.model_copy(update={"lines": rule}))
    assert found == {name: text.replace(f"{FOOTER}\n", "") for name, text in docs.items()}


def test_what_a_document_repeats_only_in_itself_is_left(tmp_path: Path) -> None:
    docs = {"a": f"{FOOTER}\n{FOOTER}\n", "b": "Something else entirely."}
    assert cut(tmp_path, docs, LINES) == docs
    # It keeps all of its own where others repeat them, and they lose all of theirs.
    more = {**docs, "c": f"{FOOTER}\nx\n{FOOTER}"}
    assert cut(tmp_path, more, LINES) == {**docs, "c": "x\n"}


def test_a_document_that_is_all_repeats_is_dropped_with_that_reason(tmp_path: Path) -> None:
    shards = [[Doc("a", f"Of a.\n{FOOTER}"), Doc("b", f"{FOOTER}\n \n")], [Doc("c", "Something else of c.")]]
    found = found_in(tmp_path, shards, LINES)
    rows = by_id(found, shards)
    assert {name: row["filter"] for name, row in rows.items()} == {"a": None, "b": "only_repeated_text", "c": None}
    assert rows["b"]["detail"] == "all of it stands in other documents" and rows["b"]["weight"] is None
    assert kept_texts(found, shards) == {"a": f"Of a.\n{FOOTER}", "c": "Something else of c."}
    assert counts_of(found).emptied == 1
    # What later versions need is of the kept ones.
    prints = [row["id"] for placed in found.fingerprints.values() for row in table(placed)]
    assert prints == ["a", "c"]


def test_paragraphs_are_compared_whole_and_lines_in_them_are_left(tmp_path: Path) -> None:
    shared = "A paragraph of two\nlines, both long enough."
    docs = {"a": f"{shared}\n\nOf a.", "b": f"Of b.\n\n \n{shared}\n\n\nThe end.", "c": "A paragraph of two\nlines."}
    assert cut(tmp_path, docs, PARAGRAPHS) == {**docs, "b": "Of b.\n\n \nThe end."}


def test_a_line_of_a_paragraph_that_is_cut_keeps_no_other_line_from_staying(tmp_path: Path) -> None:
    shared = f"{FOOTER}\nAnd a second line of it."
    docs = {"a": f"Of a.\n\n{shared}", "b": f"Of b.\n\n{shared}", "c": f"Of c. {FOOTER} No line.\n{FOOTER}\n"}
    rule = Repeats(min_chars=10, keep_first=False)
    both = Duplicates(documents=False, near=None, paragraphs=rule, lines=Repeats(min_chars=10))
    assert cut(tmp_path, docs, both) == {"a": "Of a.\n\n", "b": "Of b.\n\n", "c": docs["c"]}


def test_documents_that_fall_as_duplicates_keep_nothing_from_the_survivors(tmp_path: Path) -> None:
    docs = [Doc("a", f"Same.\n{FOOTER}"), Doc("b", f"Same.\n{FOOTER}", quality=1.0), Doc("c", f"{FOOTER}\nOther.")]
    found = found_in(tmp_path, [docs], Duplicates(near=None, lines=Repeats(min_chars=10)))
    assert kept_texts(found, [docs]) == {"b": f"Same.\n{FOOTER}", "c": "Other."}
    assert counts_of(found).lines == RepeatedPieces(pieces=1, bytes=len(FOOTER) + 1, documents=1)


def test_within_a_source_the_lines_of_another_source_do_not_count(tmp_path: Path) -> None:
    docs = [Doc(f"{source}{i}", f"{FOOTER}\n{source}{i}", source) for source in "xy" for i in range(2)]
    found = found_in(tmp_path, [docs], LINES.model_copy(update={"scope": "within_source"}))
    assert {name for name, text in kept_texts(found, [docs]).items() if FOOTER in text} == {"x0", "y0"}


def test_switched_off_nothing_is_cut(tmp_path: Path) -> None:
    docs = [[Doc("a", FOOTER), Doc("b", f"{FOOTER}\nx")]]
    assert found_in(tmp_path, docs, Duplicates(near=None)).cuts == [None]


_LINE = st.sampled_from(["", " ", "one", "two words", "Two  WORDS", "three little words", "\x0c", "ß ẞ", "a\rb"])


@given(docs=st.lists(st.lists(_LINE, max_size=6), max_size=7), shards=st.integers(1, 3), keep_first=st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cuts_are_those_of_the_definition_and_the_bytes_add_up(
    tmp_path: Path, docs: list[list[str]], shards: int, keep_first: bool
) -> None:
    texts = {f"d{i}": "\n".join(lines) for i, lines in enumerate(docs)}
    rule = Repeats(min_chars=2, min_documents=2, keep_first=keep_first)
    params = LINES.model_copy(update={"lines": rule})
    every = [Doc(name, text) for name, text in reversed(texts.items())]
    parts = [every[i::shards] for i in range(shards)]
    found = found_in(tmp_path, parts, params)
    stands_in = defaultdict(set)
    for name, text in texts.items():
        for line in text.split("\n"):
            stands_in[normalised(line)].add(name)

    def goes(name: str, line: str) -> bool:
        where = stands_in[normalised(line)]
        return len(normalised(line)) >= 2 and len(where) >= 2 and not (keep_first and name == min(where))

    expected = {}
    for name, text in texts.items():
        lines = text.split("\n")
        ended = [line + "\n" for line in lines[:-1]] + lines[-1:]
        expected[name] = "".join(line for line in ended if not goes(name, line))
    # A document of which nothing is left is dropped.
    left = {name: text for name, text in expected.items() if text == texts[name] or text.strip()}
    assert kept_texts(found, parts) == left and counts_of(found).emptied == len(expected) - len(left)
    before, after = (sum(len(text.encode()) for text in some.values()) for some in (texts, expected))
    lines = counts_of(found).lines
    assert lines is not None and lines.bytes == before - after


@pytest.mark.parametrize("level", ["lines", "paragraphs"])
@given(text=nasty)
@example(text="\n\n \nA\n\n\nB\n")
@settings(max_examples=150)
def test_pieces_follow_each_other_and_leave_out_blanks_only(level: Level, text: str) -> None:
    data = text.encode()
    spans = [span for span, _ in pieces(data, level)]
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert without(data, spans).decode().split() == []
    assert without(data, []) == data
    joined = " ".join(normal for _, normal in pieces(data, level))
    assert joined == normalised(text)


def test_spans_that_overlap_are_refused() -> None:
    for spans in ([(0, 3), (2, 4)], [(3, 9)], [(2, 1)]):
        with pytest.raises(ValueError, match="overlaps another or leaves the text"):
            without(b"12345", spans)


@given(bounds=st.lists(st.integers(0, 30), unique=True, max_size=12), other=st.lists(st.integers(0, 30), unique=True))
def test_spans_outside_of_others_touch_none_of_them(bounds: list[int], other: list[int]) -> None:
    def spans(some: list[int]) -> list[tuple[int, int]]:
        ordered = sorted(some)
        return list(zip(ordered[::2], ordered[1::2], strict=False))

    mine, cut_already = spans(bounds), spans(other)
    found = outside(np.array(mine, int).reshape(-1, 2), np.array(cut_already, int).reshape(-1, 2))
    assert found.tolist() == [all(e <= begin or end <= b for b, e in cut_already) for begin, end in mine]
