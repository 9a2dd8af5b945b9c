"""What the units together may set aside: too many broken records, a refused file, a file of another schema stop the run.

Files that are refused as a whole have a budget of their own, in files: one may hold more than all others together, and
must not pass for one bad record. The records' budget is a fraction of the records of the files that were read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.ingest.config import IngestParams
from tasks.ingest.damage import FILE_REASONS
from tasks.ingest.raw import RawFile, RawListing
from tasks.ingest.read import SourceFile

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
    empty = [unit["empty_files"] for unit in units]
    return {
        "empty_files": {
            "files": sum(one["files"] for one in empty),
            "first": [name for one in empty for name in one["first"]][:_EXAMPLES],
        },
        "sources": {source: vars(count) for source, count in sorted(sources.items())},
        **{fate: dict(sorted(reasons.items())) for fate, reasons in refused.items()},
    }


def told(account: Account, summary: Summary) -> Iterator[str]:
    """Yield what the user should know of an account: what was set aside, as records and as files, and what was empty."""
    files = {reason: count for reason, count in account.quarantined.items() if reason in FILE_REASONS}
    if files:
        refused = summary["refused_files"]
        yield (
            f"{refused['files']:,} files ({refused['bytes']:,} of {refused['input_bytes']:,} bytes) refused whole, "
            f"nothing of them used: {_listed(files)}"
        )
    records = {reason: count for reason, count in account.quarantined.items() if reason not in FILE_REASONS}
    for fate, reasons in (("quarantined", records), ("dropped", account.dropped)):
        if reasons:
            taken = account.taken.documents - _documents(files)
            yield f"{_documents(reasons):,} of {taken:,} records {fate}: {_listed(reasons)}"
    if empty := summary["empty_files"]["files"]:
        yield f"{empty:,} files without a record: {_few(summary['empty_files']['first'], empty)}"
    for why, passed in summary["passed_over"].items():
        yield f"{passed['count']:,} passed over ({why}): {_few(passed['first'][:_EXAMPLES], passed['count'])}"
    if sources := summary["empty_sources"]:
        yield f"WARNING: nothing came of {_few(sources[:_EXAMPLES], len(sources))}: no file of such a source has a record"


def refused_files(account: Account, listing: RawListing) -> dict[str, int]:
    """Return how many files were refused as a whole, and their bytes of those of the whole input."""
    counts = [count for reason, count in account.quarantined.items() if reason in FILE_REASONS]
    return {
        "files": sum(count.documents for count in counts),
        "bytes": sum(count.bytes for count in counts),
        "input_bytes": listing.bytes,
    }


def passed_over(listing: RawListing) -> dict[str, Any]:
    """Return what was met in the input folders and not read, as it stands in the summary."""
    return {why: {"count": found.count, "first": list(found.first)} for why, found in listing.passed_over.items()}


def empty_sources(files: Sequence[Sequence[SourceFile]], units: Sequence[Summary]) -> list[str]:
    """Return the sources of which every file is without records; `files` are those of each unit."""
    empty: dict[str, int] = {}
    for group, unit in zip(files, units, strict=True):
        source = group[0].source
        empty[source] = empty.get(source, 0) + len(group) - unit["empty_files"]["files"]
    return sorted(source for source, others in empty.items() if not others)


def require_known(files: Sequence[RawFile], params: IngestParams) -> None:
    """Refuse, before anything is read, an input with too many files of which nobody knows what they are.

    Raises:
        DataError: how many, what the first look like, and what to do.
    """
    unknown = [file for file in files if file.format.kind == "unknown"]
    if len(unknown) <= params.max_damaged_files:
        return
    first = "; ".join(f"{file.name} looks like {file.format.looks_like}" for file in unknown[:_EXAMPLES])
    raise DataError(
        f"{len(unknown):,} of {len(files):,} files are of an unknown kind ({sum(file.bytes for file in unknown):,} of "
        f"{sum(file.bytes for file in files):,} bytes), the limit (ingest.max_damaged_files) is "
        f"{params.max_damaged_files}; first: {first}. Convert them, leave them out, say what they are (such as --set "
        "ingest.kinds.json=text), or raise the limit."
    )


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
    if not account.taken.documents:
        empty = summary["empty_files"]
        raise DataError(
            f"all {empty['files']:,} files are empty: no records in {_few(empty['first'], empty['files'])}, the source is "
            "empty. Name the right files."
        )
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
            + ". Give them the same fields, ingest them apart, leave them out, or have them read as texts "
            "(--set ingest.kinds.json=text)."
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
        f"{damaged:,} files are damaged or cannot be read, the limit (ingest.max_damaged_files) is "
        f"{params.max_damaged_files}; first: {'; '.join(places[:_EXAMPLES])}. Get them again, leave them out of the "
        "input, or raise the limit."
    )


def _fields(unit: Summary) -> str:
    return ", ".join(unit["fields"])


def _listed(reasons: Mapping[str, Count]) -> str:
    return ", ".join(f"{reason} {count.documents:,}" for reason, count in sorted(reasons.items()))


def _few(names: Sequence[str], total: int) -> str:
    return ", ".join(names) + (", ..." if total > len(names) else "")


def _documents(reasons: Mapping[str, Count]) -> int:
    return sum(count.documents for count in reasons.values())
