"""Refining: operations on texts, each with its counts, its account and its samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.curate.refine import lines, redact, unicode
from tasks.curate.refine.account import Passed, closed
from tasks.curate.refine.config import Refine
from tasks.curate.refine.edits import Edit, apply
from tasks.curate.refine.samples import Sample, excerpt, rank, smallest
from tasks.curate.statistics.texts import Columns, Texts, texts_of

Operation = Callable[[str], list[Edit]]

COLUMNS = (unicode.COLUMN, lines.COLUMN, *redact.COLUMNS.values())


@dataclass(frozen=True)
class Refined:
    """Texts behind all operations, what was done to each (int64 `COLUMNS`), the account, and samples per operation."""

    texts: Texts
    changed_N: NDArray[np.bool_]
    columns: Columns
    account: tuple[Passed, ...]
    samples: dict[str, list[Sample]]


@dataclass
class _Running:
    """One operation's account and best samples so far."""

    documents_changed: int = 0
    bytes_before: int = 0
    bytes_removed: int = 0
    bytes_added: int = 0
    bytes_after: int = 0
    samples: list[Sample] = field(default_factory=list)


class _Deed(NamedTuple):
    """What one operation did to one document."""

    operation: str
    id: str
    before: str
    after: str
    edits: list[Edit]


def refine_texts(texts: Texts, config: Refine, *, ids: Sequence[str]) -> Refined:
    """Return the texts after every operation that is on, in the order unicode, lines, pii.

    refine_unicode_chars: characters between the first and the last difference of each repaired line.
    refine_lines: lines taken out. refine_emails, refine_ips, refine_phones, refine_keys: how many were redacted.

    Raises:
        AccountError: bytes of text are not accounted for.
    """
    operations = _operations(config)
    running = {name: _Running() for name in operations}
    counts = {name: np.zeros(len(texts), np.int64) for name in COLUMNS}
    before = texts.to_list()
    after = []
    for row, text in enumerate(before):
        new = text
        for name, operation in operations.items():
            old, edits = new, operation(new)
            new = apply(old, edits) if edits else old
            _book(running[name], _Deed(name, ids[row], old, new, edits), config.samples)
            for edit in edits:
                counts[edit.column][row] += edit.amount
        after.append(new)
    refined = texts_of(after)
    changed = np.array([old != new for old, new in zip(before, after, strict=True)], np.bool_)
    return Refined(
        refined,
        changed,
        counts,
        closed([_passed(name, one, len(texts)) for name, one in running.items()], _bytes(texts), _bytes(refined)),
        {name: one.samples for name, one in running.items()},
    )


def _operations(config: Refine) -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    if (repair := config.unicode) is not None:
        operations["unicode"] = lambda text: unicode.repair(text, repair)
    if (removal := config.lines) is not None:
        operations["lines"] = lambda text: lines.remove_lines(text, removal)
    if (redaction := config.pii) is not None:
        operations["pii"] = lambda text: redact.redact(text, redaction)
    return operations


def _book(running: _Running, deed: _Deed, most: int) -> None:
    """Enter what an operation did to one document; bytes before and after are each counted from the text."""
    size = _size(deed.before)
    running.bytes_before += size
    running.bytes_after += _size(deed.after) if deed.edits else size
    if not deed.edits:
        return
    running.documents_changed += 1
    running.bytes_removed += sum(_size(deed.before[edit.start : edit.end]) for edit in deed.edits)
    running.bytes_added += sum(_size(edit.text) for edit in deed.edits)
    full = len(running.samples) == most
    if most and not (full and rank(deed.operation, deed.id) > running.samples[-1].rank):
        sample = excerpt(deed.operation, deed.id, deed.before, deed.after, deed.edits)
        running.samples = smallest([*running.samples, *([sample] if sample else [])], most)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _passed(operation: str, running: _Running, documents: int) -> Passed:
    return Passed(
        operation,
        documents,
        running.documents_changed,
        running.bytes_before,
        running.bytes_removed,
        running.bytes_added,
        running.bytes_after,
    )


def _bytes(texts: Texts) -> int:
    return int(texts.offsets[-1] - texts.offsets[0])
