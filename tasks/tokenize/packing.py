"""The units that pack: the documents of one domain and split, then the index of the pool."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.account import Account, Count
from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.curate.published.documents import read_shard
from tasks.tokenize.aligned import assigned_to
from tasks.tokenize.codec import CodecFile
from tasks.tokenize.encoding import read_encoded
from tasks.tokenize.pack import Packed, pack
from tasks.tokenize.pool import (
    Tokens,
    starts_path,
    token_path,
    write_columns,
    write_index,
    write_prefixed,
    write_starts,
    write_tokens,
)
from tasks.tokenize.prefixed import COLUMNS, Metadata, prefix
from tasks.tokenize.published import PackedDomain, PackedSplit, Split
from tasks.tokenize.published_documents import documents_schema, read_documents, write_documents
from tasks.tokenize.tokenizer import Codec, encode


@dataclass(frozen=True)
class PackArgs:
    """Pack the documents of one domain and split; `encoded` is what became of each shard, `assignments` where it goes.

    `columns` are numbers of the kept documents to put beside their tokens, and `metadata` what to write before each of them
    in a second file, read of `shards`.
    """

    encoded: tuple[Tree, ...]
    assignments: tuple[Handle, ...]
    codec: CodecFile
    index: int
    domain: str
    split: Split
    seed: int
    columns: tuple[str, ...] = ()
    shards: tuple[Handle, ...] = ()
    metadata: Metadata | None = None


@dataclass(frozen=True)
class PoolIndexArgs:
    """Write the pool's index, and one table of all documents."""

    codec: CodecFile
    domains: tuple[PackedDomain, ...]
    documents: tuple[Handle, ...]


def pack_split(args: PackArgs, here: Here) -> UnitResult:
    """Pack one domain and split."""
    codec: Codec = here.held
    tables, documents = list[pa.Table](), list[Tokens]()
    for encoded, assignments in zip(args.encoded, args.assignments, strict=True):
        table, members = _members(args, encoded, assignments, codec)
        tables.append(table)
        documents += members
    packed = pack(documents, document_end=codec.document_end, seed=args.seed, domain=args.domain, split=args.split)
    path = token_path(args.split, args.index, args.domain)
    write_tokens(here.folder / path, packed.tokens, codec.vocab_size)
    write_starts(here.folder / starts_path(path), packed.first_token)
    table = _documents(tables, packed, args)
    write_documents(table, here.folder)
    size, stood_for = int(np.asarray(table["bytes"]).sum()), int(codec.token_bytes[packed.tokens].sum())
    files = write_columns(here.folder, path, _numbers(args, table["id"]), table["id"].to_pylist())
    if args.metadata is not None:
        prefixes = _prefixes(args.metadata, args.shards, table["id"], codec)
        write_prefixed(here.folder, path, packed.tokens, packed.first_token, prefixes, codec.vocab_size)
    own = PackedSplit(
        file=path, starts=starts_path(path), tokens=packed.tokens.size, bytes=size, documents=len(documents), **files
    )
    # What the tokens stand for is the text, byte for byte: the account of this unit closes on it.
    return UnitResult(Account(Count(len(documents), size), Count(len(documents), stood_for)), own.model_dump())


def index(args: PoolIndexArgs, here: Here) -> UnitResult:
    """Write `tokens.json`, `token_bytes.bin` and the table of all documents."""
    codec: Codec = here.held
    write_index(
        here.folder,
        args.domains,
        vocab_size=codec.vocab_size,
        document_end=codec.document_end,
        token_bytes=codec.token_bytes,
    )
    write_documents(pa.concat_tables([read_documents(table.local()) for table in args.documents]), here.folder)
    return UnitResult(summary={"vocab_size": codec.vocab_size})


def _members(args: PackArgs, encoded: Tree, assignments: Handle, codec: Codec) -> tuple[pa.Table, list[Tokens]]:
    """Return the sizes and the tokens of a shard's documents that belong to this domain and split."""
    sizes, tokens = read_encoded(encoded.local(), codec.dtype)
    assigned = assigned_to(assignments, sizes["id"])
    chosen = pc.and_(pc.equal(assigned["domain"], args.index), pc.equal(assigned["split"], args.split))
    numbers = np.flatnonzero(np.asarray(chosen))
    ends = np.cumsum(np.asarray(sizes["tokens"]))
    own = [tokens[(ends[number - 1] if number else 0) : ends[number]] for number in numbers.tolist()]
    return sizes.take(pa.array(numbers)), own


def _numbers(args: PackArgs, ids: pa.ChunkedArray) -> dict[str, np.ndarray]:
    """Return the columns of some documents that were asked for, in the order of their ids.

    Raises:
        DataError: curate published no such column, or one that holds no number of some document.
    """
    if not args.columns:
        return {}
    kept = pa.concat_tables([read_shard(shard.local(), ["id", *args.columns]) for shard in args.shards])
    rows = kept.take(pc.index_in(ids, kept["id"]))
    for name in args.columns:
        if not (pa.types.is_integer(rows[name].type) or pa.types.is_floating(rows[name].type)) or rows[name].null_count:
            raise DataError(
                f"tokenize.document_columns: {name} is {rows[name].type}, with no value for {rows[name].null_count} of "
                f"{len(rows)} documents of {args.domain}. Name a column that holds a number of every document."
            )
    return {name: np.asarray(rows[name], dtype=np.float64) for name in args.columns}


def _prefixes(metadata: Metadata, shards: Sequence[Handle], ids: pa.ChunkedArray, codec: Codec) -> list[np.ndarray]:
    """Return the tokens of each document's metadata, in the order of their ids."""
    column = COLUMNS[metadata]
    kept = pa.concat_tables([read_shard(shard.local(), ["id", column]) for shard in shards])
    texts = [prefix(metadata, value) for value in kept[column].take(pc.index_in(ids, kept["id"])).to_pylist()]
    distinct = sorted({*texts})
    tokens, sizes = encode(codec, distinct, distinct)
    encoded = (
        dict(zip(distinct, np.split(tokens.astype(np.int64), np.cumsum(sizes)[:-1]), strict=True)) if texts else {}
    )
    return [encoded[text] for text in texts]


def _documents(tables: Sequence[pa.Table], packed: Packed, args: PackArgs) -> pa.Table:
    """Return which document lies where."""
    table, rows = pa.concat_tables(tables).take(pa.array(packed.order)), len(packed.order)
    columns = {
        "id": table["id"],
        "domain": [args.domain] * rows,
        "split": [args.split] * rows,
        "first_token": packed.first_token,
        "tokens": packed.lengths,
        "bytes": table["bytes"],
    }
    return pa.table(columns, schema=documents_schema())
