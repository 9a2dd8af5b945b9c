"""Edits, by which every byte can be accounted for, and the operations of refining that are short: lines, redaction."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tasks.curate.annotators.pii import KINDS, Kind, Span, find_pii
from tasks.curate.refine.config import LineRemoval, PiiRedaction


class Edit(NamedTuple):
    """Characters `start:end` become `text`; `column` counts it, by `amount`."""

    start: int
    end: int
    text: str
    column: str
    amount: int


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return the text with the edits made; they are in order and do not overlap.

    >>> apply("abcdef", [Edit(1, 2, "X", "", 1), Edit(4, 6, "", "", 1)])
    'aXcd'
    """
    parts, at = [], 0
    for edit in edits:
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def difference(before: str, after: str, offset: int, column: str) -> Edit:
    """Return the one edit that makes `before`, which starts at `offset`, into `after`: all between the common ends.

    >>> difference("one two", "one 2", 10, "c")
    Edit(start=14, end=17, text='2', column='c', amount=3)
    """
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    tail = next((i for i in range(shorter - head) if before[-1 - i] != after[-1 - i]), shorter - head)
    new = after[head : len(after) - tail]
    changed = len(before) - head - tail
    return Edit(offset + head, offset + head + changed, new, column, max(changed, len(new)))


LINES_COLUMN = "refine_lines"


def remove_lines(text: str, config: LineRemoval) -> list[Edit]:
    """Return one edit per line that a pattern or an entry of the list takes out."""
    patterns, boilerplate = _compiled(config)
    edits, start = [], 0
    for line in text.split("\n"):
        end = start + len(line)
        if line.strip() in boilerplate or any(pattern.search(line) for pattern in patterns):
            edits.append(Edit(start, min(end + 1, len(text)), "", LINES_COLUMN, 1))
        start = end + 1
    return edits


@lru_cache(maxsize=8)
def _compiled(config: LineRemoval) -> tuple[tuple[re.Pattern[str], ...], frozenset[str]]:
    # An empty entry would take out every blank line, and with them the paragraphs.
    boilerplate = frozenset(line.strip() for line in config.boilerplate) - {""}
    return tuple(re.compile(pattern) for pattern in config.patterns), boilerplate


PII_COLUMNS: dict[Kind, str] = {
    "email": "refine_emails",
    "ip": "refine_ips",
    "phone": "refine_phones",
    "key": "refine_keys",
}


def redact(text: str, config: PiiRedaction) -> list[Edit]:
    """Return one edit per e-mail address, IP address, phone number or key."""
    return [
        Edit(span.start, span.end, new, PII_COLUMNS[span.kind], 1)
        for span in find_pii(text, _kinds(config))
        if (new := _placeholder(text, span, config)) is not None
    ]


def _placeholder(text: str, span: Span, config: PiiRedaction) -> str | None:
    if span.kind == "ip":
        return config.ipv6 if ":" in text[span.start : span.end] else config.ipv4
    placeholders = {"email": config.email, "phone": config.phone, "key": config.key}
    return placeholders[span.kind]


def _kinds(config: PiiRedaction) -> frozenset[Kind]:
    placeholders = {"email": config.email, "ip": config.ipv4 or config.ipv6, "phone": config.phone, "key": config.key}
    return frozenset(kind for kind in KINDS if placeholders[kind] is not None)
