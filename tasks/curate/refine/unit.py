"""A unit of work: one shard refined. Only the texts that changed are written, with what was done to each document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.refine.account import Passed
from tasks.curate.refine.config import Refine
from tasks.curate.refine.refine import COLUMNS, Refined, refine_texts
from tasks.curate.refine.samples import Sample, smallest
from tasks.curate.statistics.texts import texts_of
from tasks.curate.statistics.words import batches

REFINED = "refined.parquet"
# Old and new strings of a batch are in memory at once.
_BATCH_BYTES = 8_000_000


@dataclass(frozen=True)
class RefineArgs:
    """The shard to refine, and how."""

    documents: Handle
    params: Refine


def refine_shard(args: RefineArgs, here: Here) -> UnitResult:
    """Write id, text (null where it did not change) and the counts; the summary holds the account and the samples.

    Raises:
        AccountError: bytes of text are not accounted for.
    """
    documents = read_table(args.documents.local(), ("id", "text"))
    ids, texts = documents["id"], documents["text"]
    parts = [_refined(ids[:0], texts[:0], args.params)]
    sizes = pc.binary_length(texts).to_pylist()
    parts += [_refined(ids[part], texts[part], args.params) for part in batches(sizes, _BATCH_BYTES)]
    counts = {name: np.concatenate([part.columns[name] for _, part in parts]) for name in COLUMNS}
    changed = pa.chunked_array([column for column, _ in parts], pa.large_string())
    write_table(pa.table({"id": ids, "text": changed, **counts}), here.folder / REFINED)
    return UnitResult(summary=merged([part for _, part in parts], args.params.samples))


def merged(parts: list[Refined], samples: int) -> dict[str, Any]:
    """Return the account and the samples of several parts as one JSON value: `operations` and `samples`."""
    accounts = [list(part.account) for part in parts]
    sums = [sum(same[1:], same[0]) for same in zip(*accounts, strict=True)]
    shown = {name: smallest((s for part in parts for s in part.samples[name]), samples) for name in parts[0].samples}
    return _summary(sums, shown)


def merged_summaries(summaries: Sequence[Mapping[str, Any]], samples: int) -> dict[str, Any]:
    """Return the summaries of several shards, at least one, as one."""
    accounts = [[Passed(**one) for one in summary["operations"]] for summary in summaries]
    sums = [sum(same[1:], same[0]) for same in zip(*accounts, strict=True)]
    shown = {
        name: smallest((Sample(**s) for summary in summaries for s in summary["samples"][name]), samples)
        for name in summaries[0]["samples"]
    }
    return _summary(sums, shown)


def _refined(ids: pa.ChunkedArray, texts: pa.ChunkedArray, params: Refine) -> tuple[pa.Array, Refined]:
    part = refine_texts(texts_of(texts), params, ids=ids.to_pylist())
    texts_N = part.texts.to_list()
    new = [text if changed else None for text, changed in zip(texts_N, part.changed_N.tolist(), strict=True)]
    # The texts that changed are in the column; all of them, of all batches, would be the shard once more.
    return pa.array(new, pa.large_string()), replace(part, texts=texts_of([]))


def _summary(accounts: list[Passed], samples: dict[str, list[Sample]]) -> dict[str, Any]:
    return {
        "operations": [one.to_json() for one in accounts],
        "samples": {name: [sample.to_json() for sample in shown] for name, shown in samples.items()},
    }
