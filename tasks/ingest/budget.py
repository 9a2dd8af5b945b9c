"""What the units together may set aside: too many broken records, a damaged file, a file of another schema stop the run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.damage import FILE_REASONS

_EXAMPLES = 3
Summary = Mapping[str, Any]


def summed(units: Sequence[Summary]) -> dict[str, Any]:
    """Return documents and text bytes per source, and per reason the count and the first places, of all units."""
    sources: dict[str, Count] = {}
    refused: dict[str, dict[str, dict[str, Any]]] = {"quarantined": {}, "dropped": {}}
    for unit in units:
        for source, count in unit["sources"].items():
            sources[source] = sources.get(source, Count()) + Count(**count)
        for fate, reasons in refused.items():
            for reason, found in unit[fate].items():
                known = reasons.setdefault(reason, {"documents": 0, "first": []})
                known["documents"] += found["documents"]
                known["first"] = (known["first"] + found["first"])[:_EXAMPLES]
    return {
        "sources": {source: vars(count) for source, count in sorted(sources.items())},
        **{fate: dict(sorted(reasons.items())) for fate, reasons in refused.items()},
    }


def told(account: Account) -> Iterator[str]:
    """Yield what the user should know of an account: how many records were set aside, and why."""
    for fate, reasons in (("quarantined", account.quarantined), ("dropped", account.dropped)):
        if reasons:
            listed = ", ".join(f"{reason} {count.documents:,}" for reason, count in sorted(reasons.items()))
            yield f"{_documents(reasons):,} of {account.taken.documents:,} records {fate}: {listed}"


def require_readable(account: Account, units: Sequence[Summary], summary: Summary, params: IngestParams) -> None:
    """Refuse an input of which a whole file, too much, or all was set aside.

    Raises:
        DataError: what is wrong, how many, the first places, and what to do.
    """
    _require_one_schema(account, units, params)
    _require_undamaged(units, summary, params)
    whole_files = sum((account.quarantined[reason] for reason in FILE_REASONS & account.quarantined.keys()), Count())
    taken = account.taken.documents - whole_files.documents
    lost = _documents(account.quarantined) - whole_files.documents
    if account.kept.documents and lost <= params.max_quarantined_fraction * taken:
        return
    lines = [
        f"  {reason}: {found['documents']:,}; first: {found['first'][0]}"
        for fate in ("quarantined", "dropped")
        for reason, found in summary[fate].items()
    ]
    gone = account.taken.documents - account.kept.documents if not account.kept.documents else lost
    raise DataError(
        f"{gone:,} of {account.taken.documents:,} records ({gone / max(1, taken):.1%}) cannot become documents, the "
        f"limit (ingest.max_quarantined_fraction) is {params.max_quarantined_fraction:.1%}:\n" + "\n".join(lines) + "\n"
        "Mend or leave out these files, name the right fields (ingest.text_field, ...), or raise the limit."
    )


def _require_one_schema(account: Account, units: Sequence[Summary], params: IngestParams) -> None:
    lacking = [unit["lacking"] for unit in units if unit["lacking"]]
    if not lacking:
        return
    having = [unit["having"] for unit in units if unit["having"] and params.text_field in unit["having"]["fields"]]
    first, field = lacking[0], params.text_field
    others = ", ".join(unit["file"] for unit in lacking[1:_EXAMPLES])
    if having:
        raise DataError(
            f"{len(lacking)} of {len(units)} inputs have no field {field!r} in any record: {first['file']} has "
            f"{_fields(first)}, while {having[0]['file']} has {_fields(having[0])}"
            + (f"; the next without it: {others}" if others else "")
            + ". Give them the same fields, ingest them apart, or leave them out."
        )
    if account.taken.documents:
        return
    raise DataError(
        f"{first['file']}: no column or field {field!r}; it has {_fields(first)}. Name the one that holds the text: "
        "--set ingest.text_field=NAME."
    )


def _require_undamaged(units: Sequence[Summary], summary: Summary, params: IngestParams) -> None:
    damaged = sum(unit["damaged_files"] for unit in units)
    if damaged <= params.max_damaged_files:
        return
    places = [
        place for reason in sorted(FILE_REASONS) for place in summary["quarantined"].get(reason, {"first": []})["first"]
    ]
    raise DataError(
        f"{damaged:,} files are damaged or empty, the limit (ingest.max_damaged_files) is {params.max_damaged_files}; "
        f"first: {'; '.join(places[:_EXAMPLES])}. Get them again, leave them out of the input, or raise the limit."
    )


def _fields(unit: Summary) -> str:
    return ", ".join(unit["fields"])


def _documents(reasons: Mapping[str, Count]) -> int:
    return sum(count.documents for count in reasons.values())
