"""The units that decide: duplicates over all shards at once, then the fate of every document, shard by shard."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.stage import UnitResult
from tasks.curate.config import CurateParams
from tasks.curate.dedup.clusters import Clusters, clusters
from tasks.curate.dedup.minhash import Signatures
from tasks.curate.dedup.unit import read_signatures
from tasks.curate.funnel import EXACT, NEAR, UNKNOWN_LANGUAGE, Fate, tally
from tasks.curate.rules.decide import PASSES, Decisions, decide, why_dropped
from tasks.curate.statistics.annotate import STATISTICS
from tasks.curate.statistics.shards import read_shard, write_table
from tasks.curate.statistics.unit import ANNOTATIONS, TEXT_DIGESTS

KEPT, DROPPED = "kept.parquet", "dropped.parquet"
DUPLICATES_SCHEMA = pa.schema(
    [("survivor", pa.string()), ("filter", pa.string()), ("detail", pa.string()), ("cluster_documents", pa.int64())]
)
DROPPED_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("id", "source", "filter", "reason", "detail")),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class DuplicatesArgs:
    """Folders of all annotation units, and of all signature units (none: near duplicates are not looked for)."""

    annotated: tuple[Path, ...]
    signed: tuple[Path, ...]
    params: CurateParams


@dataclass(frozen=True)
class DecideArgs:
    """A shard of documents, the folder of its annotation unit, and its table of duplicates."""

    documents: Path
    annotated: Path
    duplicates: Path
    params: CurateParams


def duplicates_file(shard: int) -> str:
    """Return the name of the table of duplicates of shard number `shard`, counted from 0 in the order of the units."""
    return f"{shard:05d}.parquet"


def find_duplicates(args: DuplicatesArgs, folder: Path) -> UnitResult:
    """Write, per shard, who survives for each document that passes the rules (null for those that do not).

    Documents that a rule drops are not looked at: none of them can survive for another.
    """
    tables = [read_shard(path / ANNOTATIONS) for path in args.annotated]
    annotations = pa.concat_tables(tables)
    decisions = decide_table(annotations, args.params)
    rows = np.flatnonzero(decisions.failed_rule_N == PASSES)
    ids = annotations["id"].take(rows).to_pylist()
    digests = _text_digests(args, rows) if args.params.drop_exact_duplicates else None
    found = clusters(ids, decisions.quality_N[rows], digests, _signatures(args, rows), args.params.near_duplicates)
    every = _duplicates_table(ids, found, rows, annotations.num_rows)
    start = 0
    for shard, table in enumerate(tables):
        write_table(every.slice(start, table.num_rows), folder / duplicates_file(shard))
        start += table.num_rows
    sizes = np.bincount(found.survivor_N)
    return UnitResult(summary={"clusters": int((sizes > 1).sum()), "largest_cluster": int(sizes.max(initial=0))})


def decide_shard(args: DecideArgs, folder: Path) -> UnitResult:
    """Write the kept documents with their statistics, and the dropped ones with their reasons."""
    documents, annotations = read_shard(args.documents), read_shard(args.annotated / ANNOTATIONS)
    duplicates = read_shard(args.duplicates).to_pydict()
    decisions = decide_table(annotations, args.params)
    verdicts = _verdicts(annotations, decisions, duplicates, args.params)
    keep = pa.array([verdict is None for verdict in verdicts], pa.bool_())
    columns = {
        **{name: annotations[name] for name in ("bytes", *STATISTICS)},
        "quality": pa.array(decisions.quality_N),
        "duplicate_cluster": pa.array(duplicates["survivor"], pa.string()),
        "duplicate_cluster_documents": pa.array(duplicates["cluster_documents"], pa.int64()),
    }
    for name, column in columns.items():
        documents = documents.append_column(name, column)
    write_table(documents.filter(keep), folder / KEPT)
    facts = annotations.select(["id", "source", "bytes"]).to_pylist()
    dropped = [
        {**fact, "filter": verdict[0], "reason": verdict[1], "detail": verdict[2]}
        for fact, verdict in zip(facts, verdicts, strict=True)
        if verdict is not None
    ]
    write_table(pa.Table.from_pylist(dropped, DROPPED_SCHEMA), folder / DROPPED)
    funnel = tally(
        Fate(fact["source"], language or UNKNOWN_LANGUAGE, fact["bytes"], verdict and verdict[1])
        for fact, language, verdict in zip(facts, documents["lang"].to_pylist(), verdicts, strict=True)
    )
    funnel = replace(funnel, judged=decisions.documents, failures=decisions.failures)
    return UnitResult(funnel.account, funnel.to_json())


def decide_table(annotations: pa.Table, params: CurateParams) -> Decisions:
    """Return the decision over every row of a table of annotations."""
    statistics = {name: annotations[name].to_numpy() for name in STATISTICS}
    profiles = [params.profile_name(source) for source in annotations["source"].to_pylist()]
    return decide(statistics, profiles, params.profiles)


def _verdicts(
    annotations: pa.Table, decisions: Decisions, duplicates: dict[str, list[Any]], params: CurateParams
) -> list[tuple[str, str, str] | None]:
    statistics = {name: annotations[name].to_numpy() for name in STATISTICS}
    sources = annotations["source"].to_pylist()
    verdicts: list[tuple[str, str, str] | None] = []
    for row, failed in enumerate(decisions.failed_rule_N.tolist()):
        filtered = duplicates["filter"][row]
        if failed != PASSES:
            profile = params.profiles[params.profile_name(sources[row])]
            verdicts.append(why_dropped(statistics, row, failed, profile))
        elif filtered is not None:
            verdicts.append((filtered, filtered, duplicates["detail"][row]))
        else:
            verdicts.append(None)
    return verdicts


def _duplicates_table(ids: list[str], found: Clusters, rows: NDArray[np.int64], number: int) -> pa.Table:
    sizes = np.bincount(found.survivor_N, minlength=len(ids))
    lines: list[dict[str, Any]] = [{}] * number
    for i, row in enumerate(rows.tolist()):
        survivor = int(found.survivor_N[i])
        line = {"survivor": ids[survivor], "cluster_documents": int(sizes[survivor])}
        if found.exact_N[i]:
            line |= {"filter": EXACT, "detail": _exact_detail(ids, int(found.same_text_N[i]), survivor)}
        elif survivor != i:
            detail = f"near duplicate of {ids[survivor]} (estimated Jaccard {found.similarity_N[i]:.2f})"
            line |= {"filter": NEAR, "detail": detail}
        lines[row] = line
    columns = {name: [line.get(name) for line in lines] for name in DUPLICATES_SCHEMA.names}
    return pa.table(columns, DUPLICATES_SCHEMA)


def _exact_detail(ids: list[str], same: int, survivor: int) -> str:
    also = "" if same == survivor else f", itself a near duplicate of {ids[survivor]}"
    return f"same text as {ids[same]}{also}"


def _text_digests(args: DuplicatesArgs, rows: NDArray[np.int64]) -> list[bytes]:
    digests = np.concatenate([np.load(path / TEXT_DIGESTS) for path in args.annotated])[rows]
    return [digest.tobytes() for digest in digests]


def _signatures(args: DuplicatesArgs, rows: NDArray[np.int64]) -> Signatures | None:
    if not args.signed:
        return None
    every = read_signatures(list(args.signed))
    return Signatures(every.values_DP[rows], every.comparable_D[rows])
