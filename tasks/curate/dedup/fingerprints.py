"""Fingerprints: what later versions need to know of the documents this one kept, and how they take it up.

A curate output publishes one file per shard of kept documents, rows in the order of kept/: id, source, digest of the
text that was compared, its size and quality, its signature. A later run names the folder in `against`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.digest import canonical_json
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.dedup.corpus import SignedShard
from tasks.curate.dedup.duplicates import surviving_rows
from tasks.curate.dedup.signing.signatures import Shape, Signatures
from tasks.curate.dedup.signing.unit import DIGESTS, LENGTHS, NGRAMS, SIGNATURES, write_signatures

PRINTS, STANDING = "fingerprints.parquet", "standing.parquet"
_SHAPE = b"mixwright.signature"
_STANDING = ("id", "source", "quality")
# Versions before these columns were written tell neither: among their documents the smallest id survives.
_SINCE = {"quality": np.float64, "bytes": np.int64}


@dataclass(frozen=True)
class PrintArgs:
    """A shard, its table of duplicates, and how it was signed."""

    shard: SignedShard
    duplicates: Handle
    shape: Shape | None


@dataclass(frozen=True)
class AdoptArgs:
    """A file of fingerprints of an earlier version, and how this run signs."""

    fingerprints: Handle
    shape: Shape | None


def print_shard(args: PrintArgs, here: Here) -> UnitResult:
    """Write the fingerprints of the survivors of a shard: id, source, quality, digest and bytes of the text, signature.

    About 60 bytes per document without near duplicates, 500 (fast) or 950 (datatrove) with 14 x 8 values.
    """
    rows, shard = surviving_rows(args.duplicates), args.shard
    standing = read_table(shard.standing.local(), _STANDING).take(rows)
    columns: dict[str, Any] = dict(zip(_STANDING, standing.columns, strict=True))
    columns["bytes"] = pa.array(shard.array(LENGTHS, "r")[rows])
    columns["digest"] = _binary(shard.array(DIGESTS, "r")[rows])
    if args.shape is not None:
        values = shard.array(SIGNATURES, "r")[rows].astype(_little(args.shape))
        columns["ngrams"] = pa.array(shard.array(NGRAMS, "r")[rows], pa.int64())
        columns["signature"] = _binary(np.ascontiguousarray(values).view(np.uint8))
    described = canonical_json(args.shape.described() if args.shape else None).encode()
    pq.write_table(
        pa.table(columns).replace_schema_metadata({_SHAPE: described}),
        here.folder / PRINTS,
        use_dictionary=["source"],
        # Hashes do not compress: zstd on them takes time for nothing.
        compression={name: "zstd" if name in {"id", "source"} else "none" for name in columns},
    )
    return UnitResult(summary={"documents": len(rows)})


def adopt(args: AdoptArgs, here: Here) -> UnitResult:
    """Write what `sign_shard` would have written of the documents of a file of fingerprints, and their standing.

    Raises:
        ConfigError: they were signed in another way than this run signs.
    """
    columns = ("id", "source", "digest") + (("ngrams", "signature") if args.shape else ())
    path = args.fingerprints.local()
    _require_same_shape(args, path)
    table = read_table(path, columns)
    known = _known_since(path, table.num_rows)
    np.save(here.folder / DIGESTS, _rows(table["digest"]))
    np.save(here.folder / LENGTHS, known["bytes"])
    if args.shape is not None:
        shape = args.shape
        values = _rows(table["signature"]).view(_little(shape))
        found = Signatures(values.astype(shape.minhash.dtype), table["ngrams"].to_numpy())
        write_signatures(here.folder, [found], table.num_rows, shape)
    standing = {
        "id": table["id"],
        "source": table["source"],
        "passes": pa.array(np.ones(table.num_rows, np.bool_)),
        "quality": pa.array(known["quality"]),
    }
    write_table(pa.table(standing), here.folder / STANDING)
    return UnitResult(summary={"documents": table.num_rows})


def _known_since(fingerprints: Path, documents: int) -> dict[str, NDArray[Any]]:
    written = pq.read_schema(fingerprints).names
    found = read_table(fingerprints, tuple(name for name in _SINCE if name in written))
    return {
        name: found[name].to_numpy() if name in written else np.zeros(documents, kind) for name, kind in _SINCE.items()
    }


def _require_same_shape(args: AdoptArgs, path: Path) -> None:
    described = (pq.read_schema(path).metadata or {}).get(_SHAPE, b"null")
    theirs = json.loads(described)
    ours = args.shape.described() if args.shape else None
    if ours is not None and theirs != ours:
        raise ConfigError(
            f"{path}: signed as {theirs}, this run signs as {ours}; such signatures do not compare. Set "
            "duplicates.near (and seed) as that version had them, or curate that version again with these."
        )


def _little(shape: Shape) -> "np.dtype[Any]":
    return shape.minhash.dtype.newbyteorder("<")


def _binary(rows: NDArray[np.uint8]) -> pa.Array:
    """Return rows of bytes [N, width] as a fixed-size binary column."""
    flat = pa.py_buffer(np.ascontiguousarray(rows).reshape(-1))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, flat])


def _rows(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """Return a fixed-size binary column as rows of bytes [N, width]."""
    width = column.type.byte_width
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).reshape(-1, width)
