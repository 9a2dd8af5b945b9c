"""What was done to the documents besides dropping them: edits with their account and samples, and benchmarks found."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.curate.audit.folder import Curated
from tasks.curate.audit.funnel_table import aligned


def edits_table(curated: Curated, num_samples: int) -> str:
    """Return the account of edits, of refining with samples, and of benchmarks as lines of text; "" for none."""
    summary = curated.manifest.summary
    parts = [_edited(curated)]
    if "refined" in summary:
        parts += [_operations(summary["refined"]["operations"]), _samples(summary["refined"]["samples"], num_samples)]
    if "decontaminated" in summary:
        parts.append(_benchmarks(summary["decontaminated"]))
    return "\n\n".join(part for part in parts if part)


def _edited(curated: Curated) -> str:
    account = curated.funnel.account
    if not account.edited:
        return ""
    rows = [
        (f"taken out by {step}", f"{count.bytes / 1e6:,.2f}", f"{count.tokens / 1e6:,.3f}")
        for step, count in account.edited.items()
    ]
    kept = ("kept", f"{account.kept.bytes / 1e6:,.2f}", f"{account.kept.tokens / 1e6:,.3f}")
    return "\n".join(aligned([("of the kept documents", "MB", "M tokens"), *rows, kept]))


def _operations(operations: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["operation"],
            f"{one['documents_changed']:,} of {one['documents']:,}",
            *(f"{one[name]:,}" for name in ("bytes_before", "bytes_removed", "bytes_added", "bytes_after")),
        )
        for one in operations
    ]
    head = ("refine, of all documents", "changed", "bytes before", "removed", "added", "bytes after")
    return "\n".join(aligned([head, *rows]))


def _samples(samples: Mapping[str, Sequence[Mapping[str, Any]]], number: int) -> str:
    lines = []
    for operation, shown in samples.items():
        for one in shown[:number]:
            lines += [f"{operation}, {one['id']}:", f"  - {one['before']}", f"  + {one['after']}"]
    return "\n".join(lines)


def _benchmarks(found: Mapping[str, Any]) -> str:
    rows = [
        (one["benchmark"], *(f"{one[name]:,}" for name in ("documents_hit", "items", "items_unseen", "ngrams")))
        for one in found["benchmarks"]
    ]
    head = ("benchmark", "documents hit", "items", "items too short to find", "n-grams")
    return "\n".join([*aligned([head, *rows]), f"{found['documents_hit']:,} documents hold some of them"])
