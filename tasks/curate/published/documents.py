"""The tables that curate publishes, one file per shard in each folder, rows in the order of the shard.

annotations/  every document as it came: id, source, bytes, pretokens, and a column per statistic
scores/NAME/  every document: id, source, and the columns of the scorer NAME (none where nothing is scored)
learned/NAME/ what the scorer NAME has learned, as a file that can be used elsewhere (a model)
candidates/   documents that pass all but selection: who judges each, source, language, tokens, a number from its id, scores
              (none where nothing is scored or selected)
rewriting/    every document: id, and the statistics behind a rewriting of lines (none where nothing is rewritten)
kept/         the kept documents: their final text, its size, every statistic, quality, duplicates, weight
dropped/      the dropped documents, each with its reason
contaminated/ the documents that hold text of a benchmark, as ingest published them
fingerprints/ what later versions need of the kept documents to find duplicates of them (see `tasks.curate.dedup`)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.tables import read_table, with_schema, write_table
from tasks.ingest.published.documents import DOCUMENT

ANNOTATIONS, REWRITING, SCORES, LEARNED = "annotations", "rewriting", "scores", "learned"
CANDIDATES = "candidates"
KEPT, DROPPED, CONTAMINATED = "kept", "dropped", "contaminated"
FINGERPRINTS = "fingerprints"


def _string(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False)


def _whole(name: str) -> pa.Field:
    return pa.field(name, pa.int64(), nullable=False)


# `bytes` (UTF-8) and `pretokens` are sizes of the text: of the ingested one here, of the final one in kept/.
ANNOTATIONS_SCHEMA = pa.schema([_string("id"), _string("source"), _whole("bytes"), _whole("pretokens")])
SCORES_SCHEMA = pa.schema([_string("id"), _string("source")])
# Besides these: a column per statistic, and those of scorers. `duplicate_cluster` is the id of the document that stands for
# all of its cluster.
KEPT_SCHEMA = pa.schema(
    [
        *DOCUMENT,
        _whole("bytes"),
        _whole("pretokens"),
        pa.field("quality", pa.float64(), nullable=False),
        _string("duplicate_cluster"),
        _whole("duplicate_cluster_documents"),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)
# `survivor`: the document that stands for a duplicate; of other reasons, null or the document itself.
DROPPED_SCHEMA = pa.schema(
    [
        *(_string(name) for name in ("id", "source", "filter", "reason", "detail")),
        _whole("bytes"),
        _whole("pretokens"),
        pa.field("survivor", pa.string()),
        _string("excerpt"),
    ]
)


def write_annotations(table: pa.Table, path: Path) -> None:
    """Write the statistics of a shard."""
    write_table(with_schema(table, ANNOTATIONS_SCHEMA), path)


def write_scores(table: pa.Table, path: Path) -> None:
    """Write the scores of a shard."""
    write_table(with_schema(table, SCORES_SCHEMA), path)


def write_kept(table: pa.Table, path: Path) -> None:
    """Write the kept documents of a shard."""
    write_table(with_schema(table, KEPT_SCHEMA), path)


def write_dropped(table: pa.Table, path: Path) -> None:
    """Write the dropped documents of a shard; there are no other columns."""
    write_table(table.cast(DROPPED_SCHEMA), path)


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns (None: all) of one of these tables.

    Raises:
        DataError: the file is not Parquet or lacks a column; names those it has.
    """
    return read_table(path, columns, stage="curate")


def row_of(path: Path, document_id: str) -> dict[str, Any] | None:
    """Return what a table says of a document, without its text; None where it is not in the table, or there is none."""
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    names = [name for name in pq.read_schema(path).names if name not in {"text", "excerpt"}]
    rows = pq.read_table(path, columns=names, filters=pc.field("id") == document_id).to_pylist()
    return rows[0] if rows else None
