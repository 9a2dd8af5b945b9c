"""The account of refining: bytes before - removed + added = bytes after, per operation, and the next begins there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import AccountError


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
