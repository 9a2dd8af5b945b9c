"""Personal data on lines labelled by hand: in several scripts, beside numbers and names that only look like it.

A find counts when it is the labelled span, to the character, and of its kind.
"""

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tasks.curate.annotators.pii import KINDS, Kind, Span, find_pii

_LABEL = re.compile(r"\[([etik]) ([^\]]*)\]")
_KINDS: dict[str, Kind] = {"e": "email", "t": "phone", "i": "ip", "k": "key"}


def labelled() -> list[tuple[str, list[Span]]]:
    """The lines without their labels, and what is labelled in each."""
    lines = (Path(__file__).parent / "data" / "personal_data.txt").read_text().splitlines()
    return [_read(line.replace("~~", "")) for line in lines if not line.startswith("# ")]


def _read(line: str) -> tuple[str, list[Span]]:
    text, spans, at = "", [], 0
    for match in _LABEL.finditer(line):
        text += line[at : match.start()]
        spans.append(Span(len(text), len(text) + len(match[2]), _KINDS[match[1]]))
        text, at = text + match[2], match.end()
    return text + line[at:], spans


def scores() -> dict[str, tuple[float, float]]:
    """Precision and recall per kind."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for text, spans in labelled():
        here = find_pii(text)
        right.update(span.kind for span in here if span in spans)
        found.update(span.kind for span in here)
        wanted.update(span.kind for span in spans)
    return {kind: (right[kind] / found[kind], right[kind] / wanted[kind]) for kind in KINDS}


def test_there_are_enough_lines_of_each_kind_to_say_anything() -> None:
    kinds = Counter(span.kind for _, spans in labelled() for span in spans)
    assert len(labelled()) >= 200 and kinds["email"] >= 30 and kinds["phone"] >= 50 and kinds["ip"] >= 20
    assert sum(not spans for _, spans in labelled()) >= 100


@pytest.mark.parametrize(
    ("kind", "precision", "recall"),
    [("email", 0.97, 0.97), ("phone", 0.97, 0.97), ("ip", 0.9, 0.95), ("key", 1.0, 1.0)],
)
def test_precision_and_recall_on_the_labelled_lines_do_not_fall(kind: str, precision: float, recall: float) -> None:
    found = scores()[kind]
    assert found[0] >= precision and found[1] >= recall


@pytest.mark.parametrize(
    "text",
    [
        "+1 " * 40_000,
        "Tel " * 30_000,
        "tel: 1 " * 20_000,
        "电话" * 50_000,
        "é.é" * 40_000 + "@",
        "a@" + "中." * 50_000,
        "@中.中国" * 20_000,
        "(" * 100_000 + "+4930",
        "+49 30 1 2 3 4 5 6 7 8 9 " * 2_000,
    ],
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    start = time.process_time()
    find_pii(text)
    assert time.process_time() - start < 2
