"""What was dropped and why: the funnel per source, the reasons, and examples of both documents and broken records."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.tables import table_batches
from tasks.curate.published.documents import DROPPED
from tasks.curate.published.funnel import FateCounts, Funnel
from tasks.ingest.published.documents import QUARANTINED, REFUSED
from tasks.report.config import ReportParams
from tasks.report.excerpts import Example, excerpt, excerpts


@dataclass(frozen=True)
class DropReason:
    """Why documents were dropped: the filter, its reason, how much went, and some that did."""

    filter: str
    name: str
    count: Count
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class SourceFunnel:
    """The funnel of one source: what curation took, kept, and dropped per filter; `edited` counts as a filter."""

    name: str
    taken: Count
    kept: Count
    dropped: Mapping[str, Count]


@dataclass(frozen=True)
class BrokenRecord:
    """A record that could not be read, and where it stands in its file."""

    file: str
    offset: int
    bytes: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Curation:
    """What came in, what was kept, and why the rest was not; `warnings` are what curation says must be read first.

    `quarantined` records are broken, `passed_over` ones are whole but hold no document (a page without main text).
    `edited`: what operations took out of the documents that were kept.
    """

    warnings: tuple[str, ...]
    records: Count
    quarantined: Mapping[str, Count]
    passed_over: Mapping[str, Count]
    edited: Mapping[str, Count]
    refusals: tuple[BrokenRecord, ...]
    taken: Count
    kept: Count
    sources: tuple[SourceFunnel, ...]
    reasons: tuple[DropReason, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        """What took something, in alphabetical order: filters, and what edited the kept documents."""
        return tuple(sorted({reason.filter for reason in self.reasons} | ({"edited"} if self.edited else set())))


def read_curation(taken: Account, account: Account, ingest: Path, curate: Path, params: ReportParams) -> Curation:
    """Return what came in (`taken` by ingest), what was kept, and why the rest was not (`account` of curate).

    Raises:
        DataError: a column is missing, or the dropped documents are not those of the account.
    """
    funnel = Funnel.read(curate)
    columns = ("id", "source", "filter", "reason", "detail", "bytes", "pretokens")
    dropped = list(_rows(curate / DROPPED, columns, "curate"))
    _require_agreement(curate, account, dropped)
    chosen = _chosen(dropped, params.examples_per_reason)
    texts = excerpts(ingest, [row["id"] for rows in chosen.values() for row in rows], params.excerpt_characters)
    refusals = _rows(ingest / QUARANTINED, REFUSED.names, "ingest")
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


def _sources(counts: FateCounts) -> tuple[SourceFunnel, ...]:
    """Return the funnel of each source, the one with most text first, with what each filter dropped."""
    sources = []
    for name, account in counts.sources.items():
        lost = dict(counts.filters[name])
        if (edited := sum(account.edited.values(), Count())).bytes > 0:
            lost["edited"] = edited
        sources.append(SourceFunnel(name, account.taken, account.kept, dict(sorted(lost.items()))))
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
) -> tuple[DropReason, ...]:
    counts: dict[tuple[str, str], Count] = defaultdict(Count)
    for row in dropped:
        counts[row["filter"], row["reason"]] += Count(1, row["bytes"], row["pretokens"])
    reasons = [
        DropReason(*key, count, tuple(Example(r["id"], r["source"], r["detail"], texts[r["id"]]) for r in chosen[key]))
        for key, count in counts.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: (-reason.count.documents, reason.filter, reason.name)))


def _refusals(rows: Iterable[Mapping[str, Any]], number: int) -> tuple[BrokenRecord, ...]:
    return tuple(
        BrokenRecord(row["file"], row["offset"], row["bytes"], row["reason"], excerpt(row["detail"], 200))
        for _, row in zip(range(number), rows, strict=False)
    )


def _rows(folder: Path, columns: Sequence[str], stage: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.parquet")):
        for batch in table_batches(path, columns, stage=stage):
            yield from batch.to_pylist()
