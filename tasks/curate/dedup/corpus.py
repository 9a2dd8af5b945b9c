"""The corpus: the documents of all shards by number, read without keeping more than was asked for.

A number counts through the shards in their order: those of this run first, then those of earlier versions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from tasks.core.digest import digest_json
from tasks.core.handles import Handle, Tree
from tasks.core.tables import read_table
from tasks.curate.dedup.signing.signatures import Ints
from tasks.curate.dedup.signing.unit import DIGESTS, KEYS, NGRAMS, SIGNATURES
from tasks.curate.statistics.shards import TextSource


@dataclass(frozen=True)
class SignedShard:
    """One shard: what `sign_shard` wrote, its standing (Parquet: id, source, passes, quality), its texts.

    `version` is the digest of the earlier version the shard is of; None: of this run.
    """

    signed: Tree
    standing: Handle
    texts: TextSource
    documents: int
    version: str | None = None

    def identity(self) -> str:
        """Return the digest of all that is known of the shard."""
        known = (self.signed, self.standing, self.texts)
        return digest_json([*(one.identity() for one in known), self.documents, self.version])

    def array(self, name: str, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
        """Return one of the arrays that `sign_shard` wrote."""
        found: NDArray[Any] = np.load(self.signed.local() / name, mmap_mode=mmap_mode)
        return found

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of its standing."""
        return read_table(self.standing.local(), (name,))[name]


@dataclass(frozen=True)
class Corpus:
    """The shards of a run and of earlier versions. `within_source`: documents of different sources are no duplicates."""

    shards: tuple[SignedShard, ...]
    within_source: bool = False

    def identity(self) -> str:
        """Return the digest of all shards: it stands in the keys of many units and is taken once."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
        return digest_json([[shard.identity() for shard in self.shards], self.within_source])

    @property
    def starts(self) -> Ints:
        """The number of every shard's first document, and of documents altogether."""
        starts = np.zeros(len(self.shards) + 1, np.int64)
        np.cumsum([shard.documents for shard in self.shards], out=starts[1:])
        return starts

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return sum(shard.documents for shard in self.shards)

    @property
    def of_this_run(self) -> "Corpus":
        """The documents of this run only; their numbers stay."""
        return Corpus(tuple(shard for shard in self.shards if shard.version is None), self.within_source)

    def text_keys(self) -> Iterator[tuple[NDArray[np.uint64], Ints]]:
        """Yield, shard by shard, a key of the text of every document that takes part, and their numbers."""
        for shard, start in zip(self.shards, self.starts.tolist(), strict=False):
            rows = np.flatnonzero(_column(shard, "passes"))
            digests = shard.array(DIGESTS)[rows]
            yield self._scoped(_words(digests)[:, 0], shard, rows), rows + start

    def band_keys(self, band: int, copies: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.uint64], Ints]]:
        """Yield the same for a band, without documents that have no n-gram and without copies of another's text."""
        for shard, start in zip(self.shards, self.starts.tolist(), strict=False):
            takes_part = _column(shard, "passes") & (shard.array(NGRAMS) > 0)
            rows = np.flatnonzero(takes_part & ~copies[start : start + shard.documents])
            keys = np.array(shard.array(KEYS, "r")[band])
            yield self._scoped(keys[rows], shard, rows), rows + start

    def digests(self, numbers: Ints) -> NDArray[np.uint64]:
        """Return the digests of texts as four numbers each: [N, 4]."""
        return _words(self.gather(DIGESTS, numbers))

    def texts_and_sources(self, numbers: Ints) -> NDArray[np.uint64]:
        """Return what is equal for documents of equal text, and of one source if that is asked for: [N, 4 or 5]."""
        return self._with_source(self.digests(numbers), numbers)

    def signatures(self, numbers: Ints) -> NDArray[Any]:
        """Return the signatures of documents: [N, P]."""
        return self.gather(SIGNATURES, numbers)

    def band(self, numbers: Ints, columns: slice) -> NDArray[np.uint64]:
        """Return a band of signatures, with the source if documents of different sources are no duplicates."""
        return self._with_source(self.gather(SIGNATURES, numbers, columns).astype(np.uint64), numbers)

    def gather(self, name: str, numbers: Ints, columns: slice = slice(None)) -> NDArray[Any]:
        """Return rows of an array that every shard has under this name, in the order of `numbers`.

        Files are mapped for the time of the call only: pages that were looked at do not add up.
        """
        parts, places = [], []
        for shard, rows, at in self.rows(numbers):
            parts.append(np.array(shard.array(name, "r")[rows, columns]))
            places.append(at)
        if not parts:
            return np.array(self.shards[0].array(name, "r")[:0, columns])
        result = np.empty((len(numbers), *parts[0].shape[1:]), parts[0].dtype)
        for part, at in zip(parts, places, strict=True):
            result[at] = part
        return result

    def rows(self, numbers: Ints) -> Iterator[tuple[SignedShard, Ints, Ints]]:
        """Yield, for each shard that has some, its rows and where these stand in `numbers`."""
        starts = self.starts
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], starts)
        for i, shard in enumerate(self.shards):
            at = order[bounds[i] : bounds[i + 1]]
            if len(at):
                yield shard, numbers[at] - starts[i], at

    def _scoped(self, keys: NDArray[np.uint64], shard: SignedShard, rows: Ints) -> NDArray[np.uint64]:
        return keys ^ source_codes(shard)[rows] if self.within_source else keys

    def _with_source(self, rows: NDArray[np.uint64], numbers: Ints) -> NDArray[np.uint64]:
        if not self.within_source:
            return rows
        codes = np.empty((len(numbers), 1), np.uint64)
        for shard, of_shard, at in self.rows(numbers):
            codes[at, 0] = source_codes(shard)[of_shard]
        return np.concatenate([rows, codes], axis=1)


def source_codes(shard: SignedShard) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the source of every document of a shard."""
    names = shard.column("source").combine_chunks().dictionary_encode()
    codes = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names.dictionary.to_pylist()], np.uint64)
    return np.asarray(codes[names.indices.to_numpy()], np.uint64)


def _column(shard: SignedShard, name: str) -> NDArray[Any]:
    return np.asarray(shard.column(name).to_numpy())


def _words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    # Big-endian, so that the order of the numbers is that of the digests.
    return np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
