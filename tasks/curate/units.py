"""The units that decide: who may stand for others, and then the fate of every document, shard by shard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.fates import Fates, tally
from tasks.curate.judge import Evidence, Judgement, Judges, judge
from tasks.curate.published.documents import write_dropped, write_kept
from tasks.curate.rules.decide import PASSES, Verdict
from tasks.curate.selection.apply import scores_of, select
from tasks.curate.statistics.pretokens import pretokens
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import texts_of
from tasks.curate.verdicts import hits_of, languages_of, verdicts_of

KEPT_FILE, DROPPED_FILE, CONTAMINATED_FILE, STANDING = (
    "kept.parquet",
    "dropped.parquet",
    "contaminated.parquet",
    "standing.parquet",
)
# Characters of a dropped text that stay with its reason, to be looked at.
_EXCERPT = 160


@dataclass(frozen=True)
class StandArgs:
    """A shard's evidence and its table of contamination (None: benchmarks were not looked for)."""

    evidence: Evidence
    contamination: Handle | None
    judges: Judges


@dataclass(frozen=True)
class DecideArgs:
    """A shard of documents after every step that changes texts, and all that was found out about it.

    `scores`: a table of each scorer; `selected`: what becomes of those that pass all else (None: they are kept).
    """

    texts: TextSource
    evidence: Evidence
    contamination: Handle | None
    duplicates: Handle | None
    judges: Judges
    scores: tuple[Handle, ...] = ()
    selected: Handle | None = None


def stand_shard(args: StandArgs, here: Here) -> UnitResult:
    """Write, per document, whether it may stand for its duplicates (it passes all else) and how good it is."""
    judged = judge(args.evidence, args.judges)
    hit = hits_of(args.contamination)
    clean = np.array([name not in hit for name in judged.sizes["id"].to_pylist()], np.bool_)
    columns = {
        "id": judged.sizes["id"],
        "source": judged.sizes["source"],
        "passes": pa.array((judged.decisions.failed_rule_N == PASSES) & clean),
        "quality": pa.array(judged.decisions.quality_N),
    }
    write_table(pa.table(columns), here.folder / STANDING)
    return UnitResult(summary={"documents": judged.sizes.num_rows})


def decide_shard(args: DecideArgs, here: Here) -> UnitResult:
    """Write the kept documents with their statistics, and the dropped ones with their reasons."""
    judged = judge(args.evidence, args.judges)
    hits = hits_of(args.contamination)
    duplicates = read_table(args.duplicates.local()) if args.duplicates else None
    verdicts = verdicts_of(judged, hits, duplicates, args.judges)
    documents = read_table(args.texts.documents.local())
    scores = scores_of(args.scores)
    weight_N = np.ones(len(verdicts)) if args.selected is None else select(verdicts, args.selected)
    keep_N = np.array([verdict is None for verdict in verdicts], np.bool_)
    kept, edits = _edited(documents.filter(pa.array(keep_N)), keep_N, args.texts, judged)
    write_kept(_with_columns(kept, judged, scores, duplicates, keep_N, weight_N), here.folder / KEPT_FILE)
    write_dropped(_dropped(documents, judged.sizes, verdicts, duplicates), here.folder / DROPPED_FILE)
    if args.contamination is not None:
        set_aside = [name in hits for name in documents["id"].to_pylist()]
        write_table(documents.filter(pa.array(set_aside, pa.bool_())), here.folder / CONTAMINATED_FILE)
    fates = Fates(
        judged.sizes["source"].to_pylist(),
        languages_of(documents, judged),
        [None if verdict is None else verdict.filter for verdict in verdicts],
        [None if verdict is None else verdict.reason for verdict in verdicts],
        judged.sizes["bytes"].to_numpy(),
        judged.sizes["pretokens"].to_numpy(),
        _over_all(kept["bytes"].to_numpy(), keep_N),
        _over_all(kept["pretokens"].to_numpy(), keep_N),
        {step: _over_all(removed[0], keep_N) for step, removed in edits.items()},
        {step: _over_all(removed[1], keep_N) for step, removed in edits.items()},
    )
    decisions = judged.decisions
    counts = tally(fates).model_copy(update={"judged": decisions.documents, "failures": decisions.failures})
    return UnitResult(counts.account, counts.model_dump(mode="json"))


def _edited(
    kept: pa.Table, keep_N: NDArray[np.bool_], texts: TextSource, judged: Judgement
) -> tuple[pa.Table, dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """Return the kept documents with their final text and its size, and per step the bytes and tokens it took out."""
    mask = pa.array(keep_N)
    sizes = [judged.sizes[name].filter(mask).to_numpy().copy() for name in ("bytes", "pretokens")]
    text, edits = kept["text"], {}
    for step, overlay in texts.overlays(len(keep_N)):
        changed = overlay.filter(mask)
        rows = np.flatnonzero(changed.is_valid().to_numpy())
        after = texts_of(changed.drop_null())
        removed = [np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)]
        for size, taken_out, now in zip(sizes, removed, (after.bytes_N, pretokens(after)), strict=True):
            taken_out[rows] = size[rows] - now
            size[rows] = now
        edits[step] = (removed[0], removed[1])
        text = pc.coalesce(changed.cast(pa.large_string()), text)
    kept = kept.set_column(kept.column_names.index("text"), kept.schema.field("text"), text)
    return kept.append_column("bytes", pa.array(sizes[0])).append_column("pretokens", pa.array(sizes[1])), edits


def _with_columns(
    kept: pa.Table,
    judged: Judgement,
    scores: Mapping[str, NDArray[Any]],
    duplicates: pa.Table | None,
    keep_N: NDArray[np.bool_],
    weight_N: NDArray[np.float64],
) -> pa.Table:
    mask, own_N = pa.array(keep_N), weight_N[keep_N]
    found = {name: values for name, values in judged.statistics.items() if name not in _SIZES} | dict(scores)
    columns = {name: pa.array(values[keep_N]) for name, values in found.items()}
    columns["quality"] = pa.array(judged.decisions.quality_N[keep_N])
    if duplicates is None:
        number = kept.num_rows
        columns |= {"duplicate_cluster": kept["id"], "duplicate_cluster_documents": pa.array(np.ones(number, np.int64))}
        columns["weight"] = pa.array(own_N)
    else:
        columns["duplicate_cluster"] = duplicates["survivor"].filter(mask)
        columns["duplicate_cluster_documents"] = duplicates["cluster_documents"].filter(mask)
        columns["weight"] = pa.array(duplicates["weight"].filter(mask).to_numpy() * own_N)
    for name, column in columns.items():
        kept = kept.append_column(name, column)
    return kept


_SIZES = frozenset({"bytes", "pretokens"})


def _dropped(
    documents: pa.Table, sizes: pa.Table, verdicts: list[Verdict | None], duplicates: pa.Table | None
) -> pa.Table:
    gone = pa.array([verdict is not None for verdict in verdicts], pa.bool_())
    dropped = [verdict for verdict in verdicts if verdict is not None]
    facts, texts = sizes.filter(gone), documents["text"].filter(gone)
    nobody = pa.nulls(len(dropped), pa.string())
    columns = {
        "id": facts["id"],
        "source": facts["source"],
        **{
            name: pa.array([getattr(one, name) for one in dropped], pa.string())
            for name in ("filter", "reason", "detail")
        },
        "bytes": facts["bytes"],
        "pretokens": facts["pretokens"],
        "survivor": nobody if duplicates is None else duplicates["survivor"].filter(gone),
        "excerpt": pc.utf8_slice_codeunits(texts, 0, _EXCERPT),
    }
    return pa.table(columns)


def _over_all(values: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    every = np.zeros(len(keep_N), np.int64)
    every[keep_N] = values
    return every
