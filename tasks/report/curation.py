"""What was dropped and why: the funnel per source, the reasons, and examples of both documents and broken records."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.curate.published.funnel import FateCounts, Funnel
from tasks.report.config import ReportParams
from tasks.report.types import Curation, Example, Reason, Refusal, Source

if TYPE_CHECKING:
    import pyarrow as pa

# Directions that reorder what follows: shown as a mark, so that an excerpt cannot rearrange the page.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def read_curation(ingest: Path, curate: Path, params: ReportParams) -> Curation:
    """Return what came in, what was kept, and why the rest was not.

    Raises:
        DataError: a field or column is missing, or the dropped documents are not those of the manifest's account.
    """
    taken, account = _account(ingest), _account(curate)
    funnel = Funnel.read(curate)
    dropped = list(_rows(curate, "dropped", ("id", "source", "filter", "reason", "detail", "bytes", "pretokens")))
    _require_agreement(curate, account, dropped)
    chosen = _chosen(dropped, params.examples_per_reason)
    texts = excerpts(ingest, [row["id"] for rows in chosen.values() for row in rows], params.excerpt_characters)
    refusals = _rows(ingest, "quarantined", ("file", "offset", "bytes", "reason", "detail"))
    return Curation(
        warnings=funnel.warnings,
        records=taken.taken,
        quarantined=dict(taken.quarantined),
        passed_over=dict(taken.dropped),
        edited=dict(account.edited),
        refusals=_refusals(refusals, params.quarantined_shown),
        taken=account.taken,
        kept=account.kept,
        sources=_sources(funnel.counts),
        reasons=_reasons(dropped, chosen, texts),
    )


def excerpts(ingest: Path, ids: Iterable[str], characters: int) -> dict[str, str]:
    """Return the beginning of the documents with these ids, as `excerpt` makes it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, str] = {}
    for path in sorted(ingest.glob("documents/*.parquet")) if len(wanted) else ():
        for batch in _batches(path, ("id", "text")):
            rows = batch.filter(pc.is_in(batch["id"], value_set=wanted))
            # Cut before the text leaves Arrow: one document may have 200 MB.
            texts = pc.utf8_slice_codeunits(rows["text"], 0, 4 * characters).to_pylist()
            found |= {key: excerpt(text, characters) for key, text in zip(rows["id"].to_pylist(), texts, strict=True)}
    if missing := sorted(set(wanted.to_pylist()) - set(found)):
        raise DataError(
            f"{ingest}: {len(missing)} dropped documents are not in it; first: {missing[0]}. Run curate again."
        )
    return found


def excerpt(text: str, characters: int) -> str:
    r"""Return the beginning of a text: blank lines joined, invisible characters made visible, cut at a word.

    >>> excerpt("one   two\n\n\nthree\x1b[0m", 40)
    'one   two\nthree␛[0m'
    """
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").replace("\t", "    ").split("\n"))
    visible = "".join(_visible(character) for character in "\n".join(line for line in lines if line))
    if len(visible) <= characters:
        return visible
    head, blank, _ = visible[:characters].rpartition(" ")
    return (head if blank and len(head) > characters // 2 else visible[:characters]) + " …"


def _visible(character: str) -> str:
    if character == "\n":
        return character
    if ord(character) < 32:
        return chr(0x2400 + ord(character))
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"}:
        return "\ufffd"
    return character


def _account(folder: Path) -> Account:
    account = Manifest.read(folder).account
    if account is None:
        raise DataError(f"{folder}: its manifest has no account. Run that stage again with this version.")
    return account


def _sources(counts: FateCounts) -> tuple[Source, ...]:
    """Return the funnel of each source, the one with most text first, with what each filter dropped."""
    sources = []
    for name, account in counts.sources.items():
        lost = dict(counts.filters[name])
        if (edited := sum(account.edited.values(), Count())).bytes > 0:
            lost["edited"] = edited
        sources.append(Source(name, account.taken, account.kept, dict(sorted(lost.items()))))
    return tuple(sorted(sources, key=lambda source: (-source.taken.bytes, source.name)))


def _require_agreement(curate: Path, account: Account, dropped: Iterable[Mapping[str, Any]]) -> None:
    found = sum((Count(1, row["bytes"], row["pretokens"]) for row in dropped), Count())
    told = sum(account.dropped.values(), Count())
    if found != told:
        raise DataError(
            f"{curate}/dropped: its shards hold {found.documents:,} documents ({found.bytes:,} bytes), the account "
            f"speaks of {told.documents:,} ({told.bytes:,} bytes). Run curate again."
        )


def _chosen(dropped: Iterable[Mapping[str, Any]], number: int) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Return the first documents of each (filter, reason), from as many sources as there are."""
    turns: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in dropped:
        queue = turns[row["filter"], row["reason"]][row["source"]]
        if len(queue) < number:
            queue.append(row)
    return {reason: _round_robin(queues, number) for reason, queues in turns.items()}


def _round_robin(queues: Mapping[str, list[Mapping[str, Any]]], number: int) -> list[Mapping[str, Any]]:
    dealt = [(turn, source, row) for source in sorted(queues) for turn, row in enumerate(queues[source])]
    return [row for _, _, row in sorted(dealt, key=lambda deal: deal[:2])[:number]]


def _reasons(
    dropped: Iterable[Mapping[str, Any]],
    chosen: Mapping[tuple[str, str], list[Mapping[str, Any]]],
    texts: Mapping[str, str],
) -> tuple[Reason, ...]:
    counts: dict[tuple[str, str], Count] = defaultdict(Count)
    for row in dropped:
        counts[row["filter"], row["reason"]] += Count(1, row["bytes"], row["pretokens"])
    reasons = [
        Reason(*key, count, tuple(Example(r["id"], r["source"], r["detail"], texts[r["id"]]) for r in chosen[key]))
        for key, count in counts.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: (-reason.count.documents, reason.filter, reason.name)))


def _refusals(rows: Iterable[Mapping[str, Any]], number: int) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(row["file"], row["offset"], row["bytes"], row["reason"], excerpt(row["detail"], 200))
        for _, row in zip(range(number), rows, strict=False)
    )


def _rows(folder: Path, kind: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(f"{kind}/*.parquet")):
        for batch in _batches(path, columns):
            yield from batch.to_pylist()


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator["pa.RecordBatch"]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if missing := [name for name in columns if name not in file.schema_arrow.names]:
            raise DataError(f"{path}: there is no column {missing[0]!r}. Run that stage again with this version.")
        yield from file.iter_batches(batch_size=4096, columns=list(columns))
