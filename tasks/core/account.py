"""The account: what came in is kept, dropped or quarantined for a reason, or edited away. It closes or the run fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import AccountError

# Reasons that are named where it is told why documents were lost.
_NAMED = 5


@dataclass(frozen=True)
class Count:
    """How much: documents, bytes and tokens.

    Bytes are UTF-8 bytes of text; at ingest, raw bytes of the record. Tokens are pre-tokens (`curate`), 0 where a stage
    counts none.
    """

    documents: int = 0
    bytes: int = 0
    tokens: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.documents + other.documents, self.bytes + other.bytes, self.tokens + other.tokens)


@dataclass(frozen=True)
class Account:
    """One edge of the pipeline: `taken` = `kept` + all of `dropped` + all of `quarantined` + all of `edited`.

    `edited` is what operations took out of the documents that were kept: 0 documents, and a negative number of bytes
    where more was put in than taken out.
    """

    taken: Count = Count()
    kept: Count = Count()
    dropped: Mapping[str, Count] = field(default_factory=dict)
    quarantined: Mapping[str, Count] = field(default_factory=dict)
    edited: Mapping[str, Count] = field(default_factory=dict)

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.taken + other.taken,
            self.kept + other.kept,
            _merge(self.dropped, other.dropped),
            _merge(self.quarantined, other.quarantined),
            _merge(self.edited, other.edited),
        )

    def closed(self, where: str) -> "Account":
        """Return this account if it closes.

        Raises:
            AccountError: documents, bytes or tokens are missing or appear twice; says how many, and where.
        """
        spent = self.kept
        for count in (*self.dropped.values(), *self.quarantined.values(), *self.edited.values()):
            spent = spent + count
        if spent != self.taken:
            raise AccountError(
                f"{where}: the account does not close: {self.taken.documents:,} documents ({self.taken.bytes:,} bytes, "
                f"{self.taken.tokens:,} tokens) came in, {spent.documents:,} ({spent.bytes:,} bytes, {spent.tokens:,} "
                "tokens) are accounted for. Nothing was published; "
                "this is a defect of the stage, please report it with the input."
            )
        return self

    def losses(self) -> str:
        """Return why documents were dropped or quarantined, most first, as a list in words.

        >>> Account(dropped={"too_few_words": Count(1000), "near_duplicate": Count(3)}).losses()
        '1,000 too_few_words, 3 near_duplicate'
        """
        lost = sorted({**self.dropped, **self.quarantined}.items(), key=lambda item: (-item[1].documents, item[0]))
        more = f" and {len(lost) - _NAMED} reasons more" if len(lost) > _NAMED else ""
        return ", ".join(f"{count.documents:,} {reason}" for reason, count in lost[:_NAMED]) + more

    def to_json(self) -> dict[str, Any]:
        """Return the account as a JSON value, reasons in alphabetical order."""
        return {
            "taken": vars(self.taken),
            "kept": vars(self.kept),
            "dropped": {reason: vars(self.dropped[reason]) for reason in sorted(self.dropped)},
            "quarantined": {reason: vars(self.quarantined[reason]) for reason in sorted(self.quarantined)},
            "edited": {operation: vars(self.edited[operation]) for operation in sorted(self.edited)},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Account":
        """Return the account that `to_json` wrote; versions before 0.2 edited nothing."""
        return Account(
            Count(**value["taken"]),
            Count(**value["kept"]),
            {reason: Count(**count) for reason, count in value["dropped"].items()},
            {reason: Count(**count) for reason, count in value["quarantined"].items()},
            {operation: Count(**count) for operation, count in value.get("edited", {}).items()},
        )


def _merge(left: Mapping[str, Count], right: Mapping[str, Count]) -> dict[str, Count]:
    return {reason: left.get(reason, Count()) + right.get(reason, Count()) for reason in sorted({*left, *right})}
