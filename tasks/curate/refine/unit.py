"""A unit of work: one shard refined. Only the texts that changed are written, with what was done to each document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.refine import unicode
from tasks.curate.refine.account import Passed, Sample, closed, excerpt, rank, smallest
from tasks.curate.refine.config import Refine
from tasks.curate.refine.operations import LINES_COLUMN, PII_COLUMNS, Edit, apply, redact, remove_lines
from tasks.curate.statistics.texts import Columns, Texts, texts_of
from tasks.curate.statistics.words import batches

Operation = Callable[[str], list[Edit]]

COLUMNS = (unicode.COLUMN, LINES_COLUMN, *PII_COLUMNS.values())


@dataclass(frozen=True)
class Refined:
    """Texts behind all operations, what was done to each (int64 `COLUMNS`), the account, and samples per operation."""

    texts: Texts
    changed_N: NDArray[np.bool_]
    columns: Columns
    account: tuple[Passed, ...]
    samples: dict[str, list[Sample]]


@dataclass
class _Running:
    """One operation's account and best samples so far."""

    documents_changed: int = 0
    bytes_before: int = 0
    bytes_removed: int = 0
    bytes_added: int = 0
    bytes_after: int = 0
    samples: list[Sample] = field(default_factory=list)


class _Deed(NamedTuple):
    """What one operation did to one document."""

    operation: str
    id: str
    before: str
    after: str
    edits: list[Edit]


def refine_texts(texts: Texts, config: Refine, *, ids: Sequence[str]) -> Refined:
    """Return the texts after every operation that is on, in the order unicode, lines, pii.

    refine_unicode_chars: characters between the first and the last difference of each repaired line.
    refine_lines: lines taken out. refine_emails, refine_ips, refine_phones, refine_keys: how many were redacted.

    Raises:
        AccountError: bytes of text are not accounted for.
    """
    operations = _operations(config)
    running = {name: _Running() for name in operations}
    counts = {name: np.zeros(len(texts), np.int64) for name in COLUMNS}
    before = texts.to_list()
    after = []
    for row, text in enumerate(before):
        new = text
        for name, operation in operations.items():
            old, edits = new, operation(new)
            new = apply(old, edits) if edits else old
            _book(running[name], _Deed(name, ids[row], old, new, edits), config.samples)
            for edit in edits:
                counts[edit.column][row] += edit.amount
        after.append(new)
    refined = texts_of(after)
    changed = np.array([old != new for old, new in zip(before, after, strict=True)], np.bool_)
    return Refined(
        refined,
        changed,
        counts,
        closed([_passed(name, one, len(texts)) for name, one in running.items()], _bytes(texts), _bytes(refined)),
        {name: one.samples for name, one in running.items()},
    )


def _operations(config: Refine) -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    if (repair := config.unicode) is not None:
        operations["unicode"] = lambda text: unicode.repair(text, repair)
    if (removal := config.lines) is not None:
        operations["lines"] = lambda text: remove_lines(text, removal)
    if (redaction := config.pii) is not None:
        operations["pii"] = lambda text: redact(text, redaction)
    return operations


def _book(running: _Running, deed: _Deed, most: int) -> None:
    """Enter what an operation did to one document; bytes before and after are each counted from the text."""
    size = _size(deed.before)
    running.bytes_before += size
    running.bytes_after += _size(deed.after) if deed.edits else size
    if not deed.edits:
        return
    running.documents_changed += 1
    running.bytes_removed += sum(_size(deed.before[edit.start : edit.end]) for edit in deed.edits)
    running.bytes_added += sum(_size(edit.text) for edit in deed.edits)
    full = len(running.samples) == most
    if most and not (full and rank(deed.operation, deed.id) > running.samples[-1].rank):
        sample = excerpt(deed.operation, deed.id, deed.before, deed.after, deed.edits)
        running.samples = smallest([*running.samples, *([sample] if sample else [])], most)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _passed(operation: str, running: _Running, documents: int) -> Passed:
    return Passed(
        operation,
        documents,
        running.documents_changed,
        running.bytes_before,
        running.bytes_removed,
        running.bytes_added,
        running.bytes_after,
    )


def _bytes(texts: Texts) -> int:
    return int(texts.offsets[-1] - texts.offsets[0])


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
