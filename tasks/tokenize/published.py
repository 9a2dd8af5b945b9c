"""What others may read of a token pool: its index, and which document lies where. `pool.py` reads the tokens themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from tasks.core.errors import DataError
from tasks.core.published import Model, Published

if TYPE_CHECKING:
    import pyarrow as pa

Split = Literal["train", "search", "test"]
TokenBits = Literal[16, 32]
SPLITS: tuple[Split, ...] = ("train", "search", "test")
LENGTHS_FILE = "token_bytes.bin"
DOCUMENTS_FILE = "documents.parquet"
TOKENIZER_FILE = "tokenizer.json"


class PackedSplit(Model):
    """The tokens of one domain in one split: where they lie, how many they are, and the UTF-8 bytes they stand for."""

    file: str
    tokens: NonNegativeInt
    bytes: NonNegativeInt
    documents: NonNegativeInt


class PackedDomain(Model):
    """One domain: its name, its place in every vector of weights, and its tokens by split."""

    name: str
    index: NonNegativeInt
    splits: Mapping[Split, PackedSplit]


class TokenPoolIndex(Published):
    """What is in a token pool. Token ids are unsigned little-endian numbers of `token_bits` bits."""

    FILE: ClassVar[str] = "tokens.json"

    format: Literal[2] = 2
    vocab_size: PositiveInt
    document_end: NonNegativeInt
    token_bits: TokenBits
    domains: tuple[PackedDomain, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if [domain.index for domain in self.domains] != list(range(len(self.domains))):
            raise ValueError("the domains must be in the order of their index, from 0")
        if lacking := [domain.name for domain in self.domains if {*domain.splits} != {*SPLITS}]:
            raise ValueError(f"{len(lacking)} domains do not have the splits {', '.join(SPLITS)}; first: {lacking[0]}")
        if not self.document_end < self.vocab_size <= 1 << self.token_bits:
            raise ValueError(f"{self.vocab_size} token ids with the end {self.document_end} in {self.token_bits} bits")
        return self


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


def read_documents(folder: Path, filters: Any = None) -> "pa.Table":
    """Return the table of documents, or the rows that `filters` choose (an expression of `pyarrow.compute`).

    Raises:
        DataError: the file is missing or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / DOCUMENTS_FILE
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

    rows = read_documents(folder, pc.field("id") == document).to_pylist()
    return PackedDocument(**rows[0]) if rows else None
