"""The unit that encodes one shard, with the tokenizer that its worker holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import text_bytes, write_table
from tasks.curate.published.documents import read_shard
from tasks.tokenize.codec import CodecFile
from tasks.tokenize.pool import Tokens, mapped
from tasks.tokenize.tokenizer import encode

_TOKENS, _SIZES = "tokens.bin", "sizes.parquet"


@dataclass(frozen=True)
class EncodeArgs:
    """Encode every document of a shard."""

    shard: Handle
    codec: CodecFile


def encode_shard(args: EncodeArgs, here: Here) -> UnitResult:
    """Encode the documents of a shard, whatever their domain: a new decision does not encode again."""
    table = read_shard(args.shard.local(), ["id", "text"])
    ids = table["id"].to_pylist()
    tokens, lengths = encode(here.held, ids, table["text"].to_pylist())
    (here.folder / _TOKENS).write_bytes(tokens.tobytes())
    sizes = pa.table({"id": pa.array(ids, pa.string()), "tokens": lengths, "bytes": text_bytes(table["text"])})
    write_table(sizes, here.folder / _SIZES)
    return UnitResult()


def read_encoded(folder: Path, dtype: np.dtype[np.unsignedinteger[Any]]) -> tuple[pa.Table, Tokens]:
    """Return id, tokens and bytes of every document of a shard, and all its tokens one after the other."""
    sizes = pq.read_table(folder / _SIZES)
    return sizes, mapped(folder / _TOKENS, int(np.asarray(sizes["tokens"]).sum()), dtype)
