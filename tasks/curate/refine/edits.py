"""An edit: characters of a text that are replaced. Every operation is a list of them, so every byte can be accounted for."""

from collections.abc import Sequence
from typing import NamedTuple


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
