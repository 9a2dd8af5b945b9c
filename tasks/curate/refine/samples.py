"""Samples: what an operation did, shown on a few documents. Personal data in them is masked, before and after."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.curate.annotators.pii import Span, find_pii
from tasks.curate.refine.edits import Edit

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
