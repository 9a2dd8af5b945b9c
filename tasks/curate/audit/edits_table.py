"""What was done to the documents besides dropping them: edits with their account and samples, and benchmarks found."""

from collections.abc import Mapping, Sequence

from tasks.core.account import Account
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import Curated
from tasks.curate.published.funnel import ContaminationCounts, EditSample, OperationCounts


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
