"""A unit of work: the signatures and text digests of one shard. Its key knows the shape of a signature, no threshold.

Files, D documents in the order of the shard: digests.npy uint8 [D, 32], SHA-256 of each text, and lengths.npy int64 [D],
its bytes; and, where near duplicates are looked for, signatures.npy uint32 or uint64 [D, P], ngrams.npy int64 [D],
keys.npy uint64 [B, D], a hash per band.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tasks.core.results import Here, UnitResult
from tasks.curate.dedup.signing.kinds import sign
from tasks.curate.dedup.signing.signatures import Shape, Signatures, band_keys
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.texts import Texts, texts_of

DIGESTS, LENGTHS = "digests.npy", "lengths.npy"
SIGNATURES, NGRAMS, KEYS = "signatures.npy", "ngrams.npy", "keys.npy"
# Documents signed at a time: 16 MB of signatures at most, however short the texts are.
_BATCH = 16_384


@dataclass(frozen=True)
class SignArgs:
    """The shard to sign, and how; no shape: only the digests and sizes of its texts are taken."""

    texts: TextSource
    shape: Shape | None


def sign_shard(args: SignArgs, here: Here) -> UnitResult:
    """Write the digest and the size of every text, and its signature."""
    texts = texts_of(args.texts.read(("text",))["text"])
    np.save(here.folder / DIGESTS, text_digests(texts))
    np.save(here.folder / LENGTHS, texts.bytes_N)
    if args.shape is not None:
        shape = args.shape
        write_signatures(here.folder, (sign(part, shape) for part in _parts(texts)), len(texts), shape)
    return UnitResult(summary={"documents": len(texts)})


def write_signatures(folder: Path, parts: Iterable[Signatures], documents: int, shape: Shape) -> None:
    """Write signatures that come in parts, the numbers of n-grams, and the keys of the bands."""
    minhash, bands = shape.minhash, shape.minhash.bands
    ngrams_D, keys_BD = np.zeros(documents, np.int64), np.zeros((bands, documents), np.uint64)
    start = 0
    with RowsFile(folder / SIGNATURES, minhash.dtype, (documents, minhash.permutations)) as file:
        for part in parts:
            rows = slice(start, start + len(part.ngrams_D))
            file.write(part.values_DP)
            ngrams_D[rows], keys_BD[:, rows] = part.ngrams_D, band_keys(part, bands)
            start = rows.stop
    np.save(folder / NGRAMS, ngrams_D)
    np.save(folder / KEYS, keys_BD)


def text_digests(texts: Texts) -> NDArray[np.uint8]:
    """Return the SHA-256 of every text, uint8 [D, 32]."""
    whole, ends = memoryview(texts.data), texts.offsets.tolist()
    found = bytearray()
    for start, end in pairwise(ends):
        found += hashlib.sha256(whole[start:end]).digest()
    return np.frombuffer(bytes(found), np.uint8).reshape(-1, 32)


class RowsFile:
    """A .npy file of a known shape that is written part by part, so that no more than a part is in memory."""

    def __init__(self, path: Path, dtype: DTypeLike, shape: Sequence[int]) -> None:
        self._path, self._dtype, self._shape, self._rows = path, np.dtype(dtype), tuple(shape), 0

    def __enter__(self) -> "RowsFile":
        self._file = self._path.open("wb")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows."""
        assert rows.dtype == self._dtype and rows.shape[1:] == self._shape[1:]
        self._file.write(np.ascontiguousarray(rows).data)
        self._rows += len(rows)

    def __exit__(self, error: object, *_: object) -> None:
        self._file.close()
        assert error is not None or self._rows == self._shape[0]


def _parts(texts: Texts) -> Iterable[Texts]:
    return (Texts(texts.data, texts.offsets[start : start + _BATCH + 1]) for start in range(0, len(texts), _BATCH))
