"""The table of packed documents: which lies where in the token pool."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENTS_FILE = "documents.parquet"


@dataclass(frozen=True)
class PackedDocument:
    """Where a document lies: its domain, split and first token there, and its tokens with the end of the document."""

    id: str
    domain: str
    split: str
    first_token: int
    tokens: int
    bytes: int


def documents_schema() -> "pa.Schema":
    """Return the columns of the table of documents: the fields of `PackedDocument`."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    kinds = {"id": text, "domain": text, "split": text, "first_token": number, "tokens": number, "bytes": number}
    return pa.schema(list(kinds.items()))


def write_documents(table: "pa.Table", folder: Path) -> None:
    """Write the table of documents into a folder."""
    import pyarrow.parquet as pq

    pq.write_table(table.cast(documents_schema()), folder / DOCUMENTS_FILE, compression="zstd", compression_level=3)


def read_documents(path: Path, filters: Any = None) -> "pa.Table":
    """Return the table of documents, or the rows that `filters` choose (an expression of `pyarrow.compute`).

    Raises:
        DataError: the file is missing or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, filters=filters)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: it cannot be read: {error}. Run tokenize again, or `dvc pull`.") from error
    if not table.schema.equals(documents_schema()):
        raise DataError(
            f"{path}: it has the columns {', '.join(table.column_names)}, expected {', '.join(documents_schema().names)}. "
            "Run tokenize again."
        )
    return table


def find_document(folder: Path, document: str) -> PackedDocument | None:
    """Return where a document lies in a pool; None = it is in no shard."""
    import pyarrow.compute as pc

    rows = read_documents(folder / DOCUMENTS_FILE, pc.field("id") == document).to_pylist()
    return PackedDocument(**rows[0]) if rows else None
