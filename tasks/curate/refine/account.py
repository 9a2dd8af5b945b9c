"""What refining did: an account of bytes, and samples to look at, in which personal data is masked.

Per operation bytes before - removed + added = bytes after, and the next operation begins there.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import AccountError
from tasks.curate.annotators.pii import Span, find_pii
from tasks.curate.refine.operations import Edit


@dataclass(frozen=True)
class Passed:
    """What one operation did. Bytes are UTF-8 bytes of text, over all documents, changed or not."""

    operation: str
    documents: int = 0
    documents_changed: int = 0
    bytes_before: int = 0
    bytes_removed: int = 0
    bytes_added: int = 0
    bytes_after: int = 0

    def __add__(self, other: "Passed") -> "Passed":
        if self.operation != other.operation:
            raise AccountError(f"the accounts of {self.operation} and {other.operation} cannot be added")
        mine, theirs = vars(self), vars(other)
        return Passed(self.operation, **{name: mine[name] + theirs[name] for name in mine if name != "operation"})

    def to_json(self) -> dict[str, Any]:
        """Return the account as a JSON value."""
        return dict(vars(self))


def closed(passed: Sequence[Passed], bytes_in: int, bytes_out: int) -> tuple[Passed, ...]:
    """Return the account of all operations in their order, if it closes.

    Raises:
        AccountError: bytes are missing within an operation, or between one and the next; says where and how many.
    """
    now = bytes_in
    for one in passed:
        _same(f"before {one.operation}", one.bytes_before, now)
        now = one.bytes_before - one.bytes_removed + one.bytes_added
        _same(f"after {one.operation}", one.bytes_after, now)
    _same("at the end", bytes_out, now)
    return tuple(passed)


def _same(where: str, found: int, expected: int) -> None:
    if found != expected:
        raise AccountError(
            f"refine: the account does not close {where}: {found:,} bytes of text are there, {expected:,} are accounted "
            "for. Nothing was written; this is a defect, please report it with the input."
        )


_AROUND = 60  # characters shown on either side of the first change
_MOST = 200  # characters shown of the change itself


@dataclass(frozen=True, order=True)
class Sample:
    """An excerpt of a document before and after an operation. The `samples` smallest ranks of all are shown."""

    rank: str
    id: str
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """Return the sample as a JSON value."""
        return dict(vars(self))


def rank(operation: str, name: str) -> str:
    """Return the place of a document among those an operation changed: a hash, the same in whatever shard it is."""
    return hashlib.sha256(f"{operation}\x1f{name}".encode()).hexdigest()


def excerpt(operation: str, name: str, before: str, after: str, edits: Sequence[Edit]) -> Sample | None:
    """Return the surroundings of the first edit; None where they cannot be shown without showing personal data.

    That is where an operation other than redaction makes personal data visible, or hides some, which was not found
    in the text before it, or is not in the one behind.
    """
    first = edits[0]
    old = _shown(before, first.start, first.end)
    new = _shown(after, first.start, first.start + len(first.text))
    if operation != "pii" and old.kinds != new.kinds:
        return None
    return Sample(rank(operation, name), name, old.text, new.text)


def smallest(samples: Iterable[Sample], number: int) -> list[Sample]:
    """Return the samples to show, in their order."""
    return sorted(samples)[:number]


@dataclass(frozen=True)
class _Shown:
    text: str
    kinds: tuple[str, ...]


def _shown(text: str, start: int, end: int) -> _Shown:
    left, right = max(0, start - _AROUND), min(len(text), min(end, start + _MOST) + _AROUND)
    spans = [span for span in find_pii(text) if span.start < right and span.end > left]
    return _Shown(_masked(text, left, right, spans), tuple(span.kind for span in spans))


def _masked(text: str, left: int, right: int, spans: Sequence[Span]) -> str:
    parts, at = [], left
    for span in spans:
        parts += [text[at : max(at, span.start)], f"[{span.kind}]"]
        at = span.end
    return "".join([*parts, text[at:right]])
