"""Counts while reading: what came in, and what became of it, per source, reason and place."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.core.account import Account, Count
from tasks.ingest.damage import FILE_REASONS
from tasks.ingest.records import Document, Fate, Refusal

# So many places of each reason are told in the summary; all of them are in the shards of refusals.
_EXAMPLES = 3
_FIELDS = 12


@dataclass
class Pair:
    """Documents and bytes."""

    documents: int = 0
    bytes: int = 0

    def add(self, num_bytes: int) -> None:
        """Count one document."""
        self.documents += 1
        self.bytes += num_bytes

    def count(self) -> Count:
        """Return what was counted."""
        return Count(self.documents, self.bytes)


@dataclass
class Reason:
    """Why records became no documents: how many, and the first places."""

    fate: Fate
    total: Pair = field(default_factory=Pair)
    first: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """Counts of one unit. Taken is counted where records are read, kept and refused where they are written."""

    taken: Pair = field(default_factory=Pair)
    kept: Pair = field(default_factory=Pair)
    sources: dict[str, Pair] = field(default_factory=dict)
    reasons: dict[str, Reason] = field(default_factory=dict)
    # The first file, and the fields of its first record: what is named where files do not have the same fields.
    first_file: str = ""
    first_fields: list[str] = field(default_factory=list)
    # Files in which there is no record: a shard of a partition that nothing fell into, a file that only marks a place.
    empty: Pair = field(default_factory=Pair)
    first_empty: list[str] = field(default_factory=list)

    def begin(self, file: str, fields: Iterable[str]) -> None:
        """Take note of what a file looks like, if it is the first."""
        if not self.first_file:
            self.first_file, self.first_fields = file, list(fields)[:_FIELDS]

    def begin_empty(self, file: str, num_bytes: int) -> None:
        """Take note of a file without records."""
        self.empty.add(num_bytes)
        self.first_empty = [*self.first_empty, file][:_EXAMPLES]

    def keep(self, document: Document) -> None:
        """Count a document, raw and as text."""
        self.kept.documents += 1
        self.kept.bytes += document.record_bytes
        pair = self.sources.get(document.source)
        if pair is None:
            pair = self.sources[document.source] = Pair()
        pair.documents += 1
        pair.bytes += document.text_bytes

    def refuse(self, refusal: Refusal, file: str) -> None:
        """Count a record that became no document."""
        reason = self.reasons.setdefault(refusal.reason, Reason(refusal.fate))
        reason.total.add(refusal.bytes)
        if len(reason.first) < _EXAMPLES:
            reason.first.append(f"{file} at {refusal.offset:,}: {refusal.detail}")

    def account(self, where: str) -> Account:
        """Return the account, which closes."""
        dropped = {name: reason.total.count() for name, reason in self.reasons.items() if reason.fate == "dropped"}
        broken = {name: reason.total.count() for name, reason in self.reasons.items() if reason.fate == "quarantined"}
        return Account(self.taken.count(), self.kept.count(), dropped, broken).closed(where)

    def rows(self) -> dict[str, int]:
        """Return how many rows of each kind there must be."""
        told = {"documents": self.kept.documents, "dropped": 0, "quarantined": 0}
        for reason in self.reasons.values():
            told[reason.fate] += reason.total.documents
        return told

    def lacks_text(self) -> bool:
        """Return whether no record had a text, for want of the field (a file of columns is refused unread)."""
        unread = not self.taken.documents and self.first_file
        return bool(unread) or (set(self.reasons) == {"no_text"} and not self.kept.documents)

    def summary(self) -> dict[str, Any]:
        """Return documents and text bytes per source, count and first places per reason, and damaged files.

        `lacking` is what the first file looks like if no record has a text, `having` the same if some have.
        """
        told: dict[str, dict[str, Any]] = {"quarantined": {}, "dropped": {}}
        for name, reason in sorted(self.reasons.items()):
            told[reason.fate][name] = {"documents": reason.total.documents, "first": reason.first}
        damaged = sum(reason.total.documents for name, reason in self.reasons.items() if name in FILE_REASONS)
        empty = {"files": self.empty.documents, "first": self.first_empty}
        sources = {source: asdict(pair) for source, pair in sorted(self.sources.items())}
        looks = {"file": self.first_file, "fields": self.first_fields}
        lacking = self.lacks_text()
        return {
            "sources": sources,
            **told,
            "damaged_files": damaged,
            "empty_files": empty,
            "lacking": looks if lacking else None,
            "having": looks if self.first_file and not lacking else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the tally as a JSON value."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Tally":
        """Return the tally that `to_json` wrote."""
        return Tally(
            Pair(**value["taken"]),
            Pair(**value["kept"]),
            {source: Pair(**pair) for source, pair in value["sources"].items()},
            {
                name: Reason(reason["fate"], Pair(**reason["total"]), list(reason["first"]))
                for name, reason in value["reasons"].items()
            },
            value["first_file"],
            list(value["first_fields"]),
            Pair(**value["empty"]),
            list(value["first_empty"]),
        )
