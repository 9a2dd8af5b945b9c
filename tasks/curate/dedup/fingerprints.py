"""Fingerprints: what later versions need to know of the documents this one kept, and how they take it up.

A curate output publishes one file per shard of kept documents, rows in the order of kept/: id, source, digest of the
text that was compared, its size and quality, its signature. A later run names the folder in `against`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.digest import canonical_json, digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.core.stage import UnitResult
from tasks.core.tables import read_table, write_table
from tasks.curate.dedup.library import Shelf
from tasks.curate.dedup.signing.signatures import Shape, Signatures
from tasks.curate.dedup.signing.unit import DIGESTS, LENGTHS, NGRAMS, SIGNATURES, write_signatures
from tasks.curate.dedup.tables import surviving_rows

PRINTS, STANDING = "fingerprints.parquet", "standing.parquet"
_SHAPE = b"mixwright.signature"
_STANDING = ("id", "source", "quality")
# Versions before these columns were written tell neither: among their documents the smallest id survives.
_SINCE = {"quality": np.float64, "bytes": np.int64}


@dataclass(frozen=True)
class PrintArgs:
    """A shard, its table of duplicates, and how it was signed."""

    shelf: Shelf
    duplicates: Path
    shape: Shape | None


@dataclass(frozen=True)
class AdoptArgs:
    """A file of fingerprints of an earlier version, its digest as it was published, and how this run signs."""

    fingerprints: Path
    digest: str
    shape: Shape | None


def print_shard(args: PrintArgs, folder: Path) -> UnitResult:
    """Write the fingerprints of the survivors of a shard: id, source, quality, digest and bytes of the text, signature.

    About 60 bytes per document without near duplicates, 500 (fast) or 950 (datatrove) with 14 x 8 values.
    """
    rows, signed = surviving_rows(args.duplicates), args.shelf.signed
    standing = read_table(args.shelf.standing, _STANDING).take(rows)
    columns: dict[str, Any] = dict(zip(_STANDING, standing.columns, strict=True))
    columns["bytes"] = pa.array(np.load(signed / LENGTHS, mmap_mode="r")[rows])
    columns["digest"] = _binary(np.load(signed / DIGESTS, mmap_mode="r")[rows])
    if args.shape is not None:
        values = np.load(signed / SIGNATURES, mmap_mode="r")[rows].astype(_little(args.shape))
        columns["ngrams"] = pa.array(np.load(signed / NGRAMS, mmap_mode="r")[rows], pa.int64())
        columns["signature"] = _binary(np.ascontiguousarray(values).view(np.uint8))
    described = canonical_json(asdict(args.shape) if args.shape else None).encode()
    pq.write_table(
        pa.table(columns).replace_schema_metadata({_SHAPE: described}),
        folder / PRINTS,
        use_dictionary=["source"],
        # Hashes do not compress: zstd on them takes time for nothing.
        compression={name: "zstd" if name in {"id", "source"} else "none" for name in columns},
    )
    return UnitResult(summary={"documents": len(rows)})


def adopt(args: AdoptArgs, folder: Path) -> UnitResult:
    """Write what `sign_shard` would have written of the documents of a file of fingerprints, and their standing.

    Raises:
        ConfigError: they were signed in another way than this run signs.
        DataError: the file is not the one that was published.
    """
    columns = ("id", "source", "digest") + (("ngrams", "signature") if args.shape else ())
    _check(args)
    table = read_table(args.fingerprints, columns)
    known = _known_since(args.fingerprints, table.num_rows)
    np.save(folder / DIGESTS, _rows(table["digest"]))
    np.save(folder / LENGTHS, known["bytes"])
    if args.shape is not None:
        shape = args.shape
        values = _rows(table["signature"]).view(_little(shape))
        found = Signatures(values.astype(shape.dtype), table["ngrams"].to_numpy())
        write_signatures(folder, [found], table.num_rows, shape)
    standing = {
        "id": table["id"],
        "source": table["source"],
        "passes": pa.array(np.ones(table.num_rows, np.bool_)),
        "quality": pa.array(known["quality"]),
    }
    write_table(pa.table(standing), folder / STANDING)
    return UnitResult(summary={"documents": table.num_rows})


def _known_since(fingerprints: Path, documents: int) -> dict[str, NDArray[Any]]:
    written = pq.read_schema(fingerprints).names
    found = read_table(fingerprints, tuple(name for name in _SINCE if name in written))
    return {
        name: found[name].to_numpy() if name in written else np.zeros(documents, kind) for name, kind in _SINCE.items()
    }


def _check(args: AdoptArgs) -> None:
    if not args.fingerprints.is_file() or digest_file(args.fingerprints) != args.digest:
        raise DataError(
            f"{args.fingerprints}: missing, or not the file that was published. Get the earlier version again with "
            "`dvc checkout` or `dvc pull`, or curate it again."
        )
    described = (pq.read_schema(args.fingerprints).metadata or {}).get(_SHAPE, b"null")
    theirs = json.loads(described)
    ours = asdict(args.shape) if args.shape else None
    if ours is not None and theirs != ours:
        raise ConfigError(
            f"{args.fingerprints}: signed as {theirs}, this run signs as {ours}; such signatures do not compare. Set "
            "duplicates.near (and seed) as that version had them, or curate that version again with these."
        )


def _little(shape: Shape) -> "np.dtype[Any]":
    return shape.dtype.newbyteorder("<")


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
