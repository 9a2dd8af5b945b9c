"""The units of the tokenize stage: what a worker does, and the files it leaves."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.cluster.published.assignments import read_assignments
from tasks.cluster.shards import Shard
from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.stage import UnitResult
from tasks.core.tables import text_bytes
from tasks.curate.published.documents import read_shard
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.config import TrainedBpe
from tasks.tokenize.pack import Packed, pack
from tasks.tokenize.pool import mapped, token_path, write_index, write_tokens
from tasks.tokenize.published import TOKENIZER_FILE, PackedDomain, PackedSplit, Split
from tasks.tokenize.published_documents import documents_schema, read_documents, write_documents
from tasks.tokenize.sample import choose

_TOKENS = "tokens.bin"
_SIZES = "sizes.parquet"


@dataclass(frozen=True)
class Pair:
    """A shard of kept documents, and the file that gives each of its rows a domain and a split."""

    shard: Shard
    assignments: Path


@dataclass(frozen=True)
class LearnArgs:
    """Train the tokenizer on the train split."""

    pairs: tuple[Pair, ...]
    config: TrainedBpe
    seed: int


@dataclass(frozen=True)
class TakeArgs:
    """Take the user's tokenizer."""

    path: Path
    document_end: str


@dataclass(frozen=True)
class EncodeArgs:
    """Encode every document of a shard."""

    shard: Shard
    tokenizer: Path
    document_end: str


@dataclass(frozen=True)
class PackArgs:
    """Pack the documents of one domain and split; `encoded` are the folders `encode` left, one per pair."""

    pairs: tuple[Pair, ...]
    encoded: tuple[Path, ...]
    tokenizer: Path
    document_end: str
    index: int
    domain: str
    split: Split
    seed: int


@dataclass(frozen=True)
class IndexArgs:
    """Write the pool's index; `documents` are the folders of the tables that `pack_split` left."""

    tokenizer: Path
    document_end: str
    domains: tuple[PackedDomain, ...]
    documents: tuple[Path, ...]


def learn(args: LearnArgs, folder: Path) -> UnitResult:
    """Train byte-level BPE on an even sample of the domains' train documents."""
    import pyarrow as pa

    tables = [_aligned(pair, ["id", "text"]) for pair in args.pairs]
    table = pa.concat_tables(tables)
    sizes, domains = text_bytes(table["text"]), np.array(table["domain"], dtype=np.int64)
    domains[np.array(table["split"].to_pylist(), dtype=object) != "train"] = -1
    chosen = choose(table["id"].to_pylist(), sizes, domains, args.config.training_bytes, args.seed)
    size, taken = args.config.vocab_size, sum(taken for _, taken in chosen)
    beginnings = _beginnings(table["text"], chosen)
    text = bpe.train(beginnings, size) if size else bpe.train_at_most(beginnings, bpe.default_vocab_size(taken))
    (folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    return UnitResult(summary={"training_bytes": taken, "training_documents": len(chosen)})


def take(args: TakeArgs, folder: Path) -> UnitResult:
    """Check the user's tokenizer, and take it as it is."""
    bpe.load(args.path, args.document_end)
    shutil.copyfile(args.path, folder / TOKENIZER_FILE)
    return UnitResult()


def encode(args: EncodeArgs, folder: Path) -> UnitResult:
    """Encode the documents of a shard, whatever their domain: a new decision does not encode again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    codec, table = bpe.load(args.tokenizer, args.document_end), read_shard(args.shard.path, ["id", "text"])
    ids = table["id"].to_pylist()
    tokens, lengths = bpe.encode(codec, ids, table["text"].to_pylist())
    (folder / _TOKENS).write_bytes(tokens.tobytes())
    sizes = pa.table({"id": pa.array(ids, pa.string()), "tokens": lengths, "bytes": text_bytes(table["text"])})
    pq.write_table(sizes, folder / _SIZES, compression="zstd", compression_level=3)
    return UnitResult()


def pack_split(args: PackArgs, folder: Path) -> UnitResult:
    """Pack one domain and split."""
    codec = bpe.load(args.tokenizer, args.document_end)
    tables, documents = [], []
    for pair, encoded in zip(args.pairs, args.encoded, strict=True):
        table, members = _members(args, pair, encoded, codec.dtype)
        tables.append(table)
        documents += members
    packed = pack(documents, document_end=codec.document_end, seed=args.seed, domain=args.domain, split=args.split)
    path = token_path(args.split, args.index, args.domain)
    write_tokens(folder / path, packed.tokens, codec.vocab_size)
    size = _write_documents(folder, tables, packed, args)
    stood_for = int(codec.token_bytes[packed.tokens].sum())
    own = PackedSplit(file=path, tokens=packed.tokens.size, bytes=size, documents=len(documents))
    # What the tokens stand for is the text, byte for byte: the account of this unit closes on it.
    return UnitResult(Account(Count(len(documents), size), Count(len(documents), stood_for)), own.model_dump())


def index(args: IndexArgs, folder: Path) -> UnitResult:
    """Write `tokens.json`, `token_bytes.bin` and the table of all documents."""
    import pyarrow as pa

    codec = bpe.load(args.tokenizer, args.document_end)
    shutil.copyfile(args.tokenizer, folder / TOKENIZER_FILE)
    write_index(
        folder,
        args.domains,
        vocab_size=codec.vocab_size,
        document_end=codec.document_end,
        token_bytes=codec.token_bytes,
    )
    write_documents(pa.concat_tables([read_documents(path) for path in args.documents]), folder)
    return UnitResult(summary={"vocab_size": codec.vocab_size})


def _aligned(pair: Pair, columns: list[str]) -> Any:
    """Return columns of a shard beside the domain and split of each row."""
    table, assigned = (
        read_shard(pair.shard.path, columns),
        read_assignments(pair.assignments, ["id", "domain", "split"]),
    )
    _require_same_ids(pair, table["id"], assigned["id"])
    return table.append_column("domain", assigned["domain"]).append_column("split", assigned["split"])


def _members(args: PackArgs, pair: Pair, encoded: Path, dtype: Any) -> tuple[Any, list[Any]]:
    """Return the sizes and the tokens of a shard's documents that belong to this domain and split."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    sizes, assigned = pq.read_table(encoded / _SIZES), read_assignments(pair.assignments, ["id", "domain", "split"])
    _require_same_ids(pair, sizes["id"], assigned["id"])
    chosen = pc.and_(pc.equal(assigned["domain"], args.index), pc.equal(assigned["split"], args.split))
    numbers = np.flatnonzero(np.asarray(chosen))
    ends = np.cumsum(np.asarray(sizes["tokens"]))
    tokens = mapped(encoded / _TOKENS, int(ends[-1]) if ends.size else 0, dtype)
    own = [tokens[(ends[number - 1] if number else 0) : ends[number]] for number in numbers.tolist()]
    return sizes.take(pa.array(numbers)), own


def _write_documents(folder: Path, tables: list[Any], packed: Packed, args: PackArgs) -> int:
    """Write which document lies where; return the bytes of text of all of them."""
    import pyarrow as pa

    table, rows = pa.concat_tables(tables).take(pa.array(packed.order)), len(packed.order)
    columns = {
        "id": table["id"],
        "domain": [args.domain] * rows,
        "split": [args.split] * rows,
        "first_token": packed.first_token,
        "tokens": packed.lengths,
        "bytes": table["bytes"],
    }
    write_documents(pa.table(columns, schema=documents_schema()), folder)
    return int(np.asarray(table["bytes"]).sum())


def _beginnings(texts: Any, chosen: list[tuple[int, int]]) -> Iterable[str]:
    for number, taken in chosen:
        yield texts[number].as_py().encode()[:taken].decode(errors="ignore")


def _require_same_ids(pair: Pair, found: Any, assigned: Any) -> None:
    if found.to_pylist() != assigned.to_pylist():
        raise DataError(
            f"{pair.assignments}: its {len(assigned):,} rows are not the {len(found):,} documents of "
            f"{pair.shard.path}, in the same order. Run cluster again on this curate output."
        )
