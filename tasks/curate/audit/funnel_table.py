"""The funnel of a curation as tables: what each filter dropped per source, and what was done besides dropping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.core.account import Account, Count
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.fates import DROPPERS
from tasks.curate.published.funnel import ContaminationCounts, EditSample, OperationCounts


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


def edits_table(curated: Curated, num_samples: int) -> str:
    """Return the account of edits, of refining with samples, and of benchmarks as lines of text; "" for none."""
    funnel = curated.funnel
    parts = [_edited(funnel.counts.account)]
    if funnel.refined is not None:
        parts += [_operations(funnel.refined.operations), _samples(funnel.refined.samples, num_samples)]
    if funnel.contaminated is not None:
        parts.append(_benchmarks(funnel.contaminated))
    return "\n\n".join(part for part in parts if part)


def _edited(account: Account) -> str:
    if not account.edited:
        return ""
    rows = [
        (f"taken out by {step}", f"{count.bytes / 1e6:,.2f}", f"{count.tokens / 1e6:,.3f}")
        for step, count in account.edited.items()
    ]
    kept = ("kept", f"{account.kept.bytes / 1e6:,.2f}", f"{account.kept.tokens / 1e6:,.3f}")
    return "\n".join(text_table(("of the kept documents", "MB", "M tokens"), [*rows, kept]))


def _operations(operations: Sequence[OperationCounts]) -> str:
    rows = [
        (
            one.operation,
            f"{one.documents_changed:,} of {one.documents:,}",
            *(f"{size:,}" for size in (one.bytes_before, one.bytes_removed, one.bytes_added, one.bytes_after)),
        )
        for one in operations
    ]
    head = ("refine, of all documents", "changed", "bytes before", "removed", "added", "bytes after")
    return "\n".join(text_table(head, rows))


def _samples(samples: Mapping[str, Sequence[EditSample]], number: int) -> str:
    lines = []
    for operation, shown in samples.items():
        for one in shown[:number]:
            lines += [f"{operation}, {one.id}:", f"  - {one.before}", f"  + {one.after}"]
    return "\n".join(lines)


def _benchmarks(found: ContaminationCounts) -> str:
    rows = [
        (one.benchmark, *(f"{number:,}" for number in (one.documents_hit, one.items, one.items_unseen, one.ngrams)))
        for one in found.benchmarks
    ]
    head = ("benchmark", "documents hit", "items", "items too short to find", "n-grams")
    return "\n".join([*text_table(head, rows), f"{found.documents_hit:,} documents hold some of them"])
