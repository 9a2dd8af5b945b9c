"""`mixwright audit`: the funnel of a curate folder, per source, as a table."""

from dataclasses import dataclass
from pathlib import Path

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.curate.funnel import FILTER_OF_REASON, Funnel

FILTERS = tuple(dict.fromkeys(FILTER_OF_REASON.values()))


@dataclass(frozen=True)
class AuditRow:
    """One source: what was taken and kept, what each filter dropped, and the reasons, the most frequent first."""

    source: str
    taken: Count
    kept: Count
    dropped: dict[str, Count]
    reasons: tuple[tuple[str, Count], ...]

    @property
    def kept_fraction(self) -> float:
        """Documents kept / documents taken; 0 for a source without documents."""
        return self.kept.documents / max(self.taken.documents, 1)


@dataclass(frozen=True)
class Audit:
    """What a curation did: a row per source, one over all, and what a reader must be told first."""

    rows: tuple[AuditRow, ...]
    total: AuditRow
    warnings: tuple[str, ...]


def audit(folder: Path) -> Audit:
    """Return the funnel of a curate folder.

    Raises:
        DataError: no stage, or another one, has published there.
    """
    manifest = Manifest.read(folder)
    if manifest.stage != "curate":
        raise DataError(f"{folder}: published by {manifest.stage}, not by curate. Name the folder that curate wrote.")
    funnel = Funnel.from_json(manifest.summary)
    rows = tuple(_row(source, account) for source, account in funnel.sources.items())
    return Audit(rows, _row("all", funnel.account), tuple(manifest.summary["warnings"]))


def table(found: Audit) -> str:
    """Return an audit as lines of text: warnings first, then the funnel, documents per filter."""
    lines = [f"! {warning}" for warning in found.warnings]
    head = ("source", "documents", "kept", "kept %", *FILTERS)
    cells = [head, *(_cells(row) for row in (*found.rows, found.total))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        lines.append(
            "  ".join(
                cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )
    return "\n".join(lines)


def _cells(row: AuditRow) -> tuple[str, ...]:
    dropped = (f"{row.dropped.get(name, Count()).documents:,}" for name in FILTERS)
    return (row.source, f"{row.taken.documents:,}", f"{row.kept.documents:,}", f"{row.kept_fraction:.1%}", *dropped)


def _row(source: str, account: Account) -> AuditRow:
    dropped: dict[str, Count] = {}
    for reason, count in account.dropped.items():
        name = FILTER_OF_REASON[reason]
        dropped[name] = dropped.get(name, Count()) + count
    reasons = sorted(account.dropped.items(), key=lambda item: (-item[1].documents, item[0]))
    return AuditRow(source, account.taken, account.kept, dropped, tuple(reasons))
