"""The account: what came in is kept, dropped for a reason, or quarantined for a reason. It closes or the run fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import AccountError


@dataclass(frozen=True)
class Count:
    """How much: documents and bytes. Bytes are UTF-8 bytes of text; at ingest, raw bytes of the record."""

    documents: int = 0
    bytes: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.documents + other.documents, self.bytes + other.bytes)


@dataclass(frozen=True)
class Account:
    """One edge of the pipeline: `taken` = `kept` + all of `dropped` + all of `quarantined`."""

    taken: Count = Count()
    kept: Count = Count()
    dropped: Mapping[str, Count] = field(default_factory=dict)
    quarantined: Mapping[str, Count] = field(default_factory=dict)

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.taken + other.taken,
            self.kept + other.kept,
            _merge(self.dropped, other.dropped),
            _merge(self.quarantined, other.quarantined),
        )

    def closed(self, where: str) -> "Account":
        """Return this account if it closes.

        Raises:
            AccountError: documents or bytes are missing or appear twice; says how many, and where.
        """
        spent = self.kept
        for count in (*self.dropped.values(), *self.quarantined.values()):
            spent = spent + count
        if spent != self.taken:
            raise AccountError(
                f"{where}: the account does not close: {self.taken.documents:,} documents ({self.taken.bytes:,} bytes) "
                f"came in, {spent.documents:,} ({spent.bytes:,} bytes) are accounted for. Nothing was published; "
                "this is a defect of the stage, please report it with the input."
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the account as a JSON value, reasons in alphabetical order."""
        return {
            "taken": vars(self.taken),
            "kept": vars(self.kept),
            "dropped": {reason: vars(self.dropped[reason]) for reason in sorted(self.dropped)},
            "quarantined": {reason: vars(self.quarantined[reason]) for reason in sorted(self.quarantined)},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Account":
        """Return the account that `to_json` wrote."""
        return Account(
            Count(**value["taken"]),
            Count(**value["kept"]),
            {reason: Count(**count) for reason, count in value["dropped"].items()},
            {reason: Count(**count) for reason, count in value["quarantined"].items()},
        )


def _merge(left: Mapping[str, Count], right: Mapping[str, Count]) -> dict[str, Count]:
    return {reason: left.get(reason, Count()) + right.get(reason, Count()) for reason in sorted({*left, *right})}
