"""The funnel of a curation as a table: per source or language, what each filter dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.core.account import Account, Count
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.fates import DROPPERS


@dataclass(frozen=True)
class AuditRow:
    """One source: what was taken and kept, what each filter dropped, and the reasons, the most frequent first."""

    source: str
    taken: Count
    kept: Count
    dropped: Mapping[str, Count]
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


def audit(curated: Curated) -> Audit:
    """Return the funnel of a curation, per source."""
    counts = curated.funnel.counts
    rows = tuple(_row(source, account, counts.filters.get(source, {})) for source, account in counts.sources.items())
    every: dict[str, Count] = {}
    for row in rows:
        every = {name: every.get(name, Count()) + row.dropped.get(name, Count()) for name in {*every, *row.dropped}}
    return Audit(rows, _row("all", counts.account, every), curated.funnel.warnings)


def funnel_table(found: Audit) -> str:
    """Return an audit as lines of text: warnings first, then the funnel, documents per filter."""
    filters = [name for name in DROPPERS if name in found.total.dropped]
    head = ("source", "documents", "kept", "kept %", "MB kept", "M tokens kept", *filters)
    cells = [_cells(row, filters) for row in (*found.rows, found.total)]
    return "\n".join([*(f"! {warning}" for warning in found.warnings), *text_table(head, cells)])


def _cells(row: AuditRow, filters: Sequence[str]) -> tuple[str, ...]:
    return (
        *(row.source, f"{row.taken.documents:,}", f"{row.kept.documents:,}", f"{row.kept_fraction:.1%}"),
        *(f"{row.kept.bytes / 1e6:,.1f}", f"{row.kept.tokens / 1e6:,.2f}"),
        *(f"{row.dropped.get(name, Count()).documents:,}" for name in filters),
    )


def _row(source: str, account: Account, filters: Mapping[str, Count]) -> AuditRow:
    reasons = sorted(account.dropped.items(), key=lambda item: (-item[1].documents, item[0]))
    return AuditRow(source, account.taken, account.kept, filters, tuple(reasons))
