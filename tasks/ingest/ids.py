"""Ids name one document each, over the whole input."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash

from tasks.core.errors import DataError
from tasks.ingest.shards import rows_in

_EXAMPLES = 3
# So many hashes are held at a time: 256 MiB. More ids take more passes over them.
_MAX_HELD = 32 << 20
# So many repeated ids are looked up by name.
_MAX_NAMED = 10_000


@dataclass(frozen=True)
class IdShard:
    """A shard of documents, and what to call it in a message."""

    label: str
    path: Path


def require_unique(shards: Sequence[IdShard]) -> None:
    """Check that no id occurs twice.

    Memory is bounded: ids are compared by a 64-bit hash first, some of them at a time, then those that meet by
    themselves.

    Raises:
        DataError: how many ids are repeated, the first of them with their shards, and what to do.
    """
    num_passes = -(-rows_in(shard.path for shard in shards) // _MAX_HELD)
    for number in range(num_passes):
        held = np.concatenate([_hashes(shard.path, number, num_passes) for shard in shards])
        held.sort()
        met = np.unique(held[1:][held[1:] == held[:-1]])
        if len(met):
            _require_names_differ(shards, set(met[:_MAX_NAMED].tolist()), len(met))


def _require_names_differ(shards: Sequence[IdShard], suspects: set[int], num_met: int) -> None:
    """Refuse ids that are the same by name; `num_met` hashes met, of which `suspects` are looked at."""
    places: dict[str, list[str]] = {}
    for shard in shards:
        for name in _ids(shard.path):
            if _hash(name) in suspects:
                places.setdefault(name, []).append(shard.label)
    repeated = {name: labels for name, labels in places.items() if len(labels) > 1}
    if not repeated:
        return
    count = f"about {num_met:,}" if num_met > len(suspects) else f"{len(repeated):,}"
    examples = "; ".join(f"{name!r} in {_where(labels)}" for name, labels in list(repeated.items())[:_EXAMPLES])
    raise DataError(
        f"{count} ids name more than one document; first: {examples}. Leave out an input that is there "
        "twice, or have ids made from file and record number: --set ingest.id_field=null."
    )


def _where(labels: Iterable[str]) -> str:
    return ", ".join(sorted(set(labels))[:3])


def _ids(path: Path) -> Iterator[str]:
    for batch in pq.ParquetFile(path).iter_batches(columns=["id"]):
        yield from batch.column(0).to_pylist()


def _hashes(path: Path, number: int, num_passes: int) -> npt.NDArray[np.uint64]:
    """Return the hashes of a shard's ids that are looked at in this pass."""
    hashes = np.fromiter(map(_hash, _ids(path)), np.uint64)
    return hashes if num_passes == 1 else hashes[hashes % np.uint64(num_passes) == number]


def _hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode())
