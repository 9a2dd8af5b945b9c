"""Ids name one document each, over the whole input."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tasks.core.errors import DataError

_EXAMPLES = 3


@dataclass(frozen=True)
class IdShard:
    """A shard of documents, and what to call it in a message."""

    label: str
    path: Path


def require_unique(shards: Sequence[IdShard]) -> None:
    """Check that no id occurs twice.

    Memory: 8 bytes per document (ids are compared by a 64-bit hash first, then those that meet by themselves).

    Raises:
        DataError: how many ids are repeated, the first of them with their shards, and what to do.
    """
    hashes = np.concatenate([_hashes(_ids(shard.path)) for shard in shards]) if shards else np.empty(0, np.uint64)
    hashes.sort()
    suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspects:
        return
    places: dict[str, list[str]] = {}
    for shard in shards:
        for name in _ids(shard.path):
            if _hash(name) in suspects:
                places.setdefault(name, []).append(shard.label)
    repeated = {name: labels for name, labels in places.items() if len(labels) > 1}
    if repeated:
        examples = "; ".join(f"{name!r} in {_where(labels)}" for name, labels in list(repeated.items())[:_EXAMPLES])
        raise DataError(
            f"{len(repeated):,} ids name more than one document; first: {examples}. Leave out an input that is there "
            "twice, or have ids made from file and record number: --set ingest.id_field=null."
        )


def _where(labels: Iterable[str]) -> str:
    return ", ".join(sorted(set(labels))[:3])


def _ids(path: Path) -> Iterator[str]:
    for batch in pq.ParquetFile(path).iter_batches(columns=["id"]):
        yield from batch.column(0).to_pylist()


def _hashes(names: Iterable[str]) -> npt.NDArray[np.uint64]:
    return np.fromiter(map(_hash, names), np.uint64)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
