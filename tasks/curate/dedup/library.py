"""The documents of all shards by number: where their rows lie, read without keeping more than was asked for.

A number counts through the shards in the order of the library: those of this run first, then those of earlier versions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from tasks.core.tables import read_table
from tasks.curate.dedup.groups import Ints
from tasks.curate.dedup.signing.unit import DIGESTS, KEYS, NGRAMS, SIGNATURES
from tasks.curate.statistics.shards import TextSource


@dataclass(frozen=True)
class Shelf:
    """One shard: the folder of its signatures, its standing (Parquet: id, source, passes, quality), its texts.

    `version` is the digest of the earlier version the shard is of; None: of this run.
    """

    signed: Path
    standing: Path
    texts: TextSource
    documents: int
    version: str | None = None


@dataclass(frozen=True)
class Library:
    """The shelves of a run. `within_source`: only documents of one source can be duplicates of each other."""

    shelves: tuple[Shelf, ...]
    within_source: bool = False

    @property
    def starts(self) -> Ints:
        """The number of every shelf's first document, and of documents altogether."""
        starts = np.zeros(len(self.shelves) + 1, np.int64)
        np.cumsum([shelf.documents for shelf in self.shelves], out=starts[1:])
        return starts

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return sum(shelf.documents for shelf in self.shelves)

    @property
    def of_this_run(self) -> "Library":
        """The documents of this run only; their numbers stay."""
        return Library(tuple(shelf for shelf in self.shelves if shelf.version is None), self.within_source)

    def text_keys(self) -> Iterator[tuple[NDArray[np.uint64], Ints]]:
        """Yield, shelf by shelf, a key of the text of every document that takes part, and their numbers."""
        for shelf, start in zip(self.shelves, self.starts.tolist(), strict=False):
            rows = np.flatnonzero(_column(shelf, "passes"))
            digests = np.load(shelf.signed / DIGESTS)[rows]
            yield self._scoped(_words(digests)[:, 0], shelf, rows), rows + start

    def band_keys(self, band: int, copies: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.uint64], Ints]]:
        """Yield the same for a band, without documents that have no n-gram and without copies of another's text."""
        for shelf, start in zip(self.shelves, self.starts.tolist(), strict=False):
            takes_part = _column(shelf, "passes") & (np.load(shelf.signed / NGRAMS) > 0)
            rows = np.flatnonzero(takes_part & ~copies[start : start + shelf.documents])
            keys = np.array(np.load(shelf.signed / KEYS, mmap_mode="r")[band])
            yield self._scoped(keys[rows], shelf, rows), rows + start

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
        """Return rows of an array that every shelf has under this name, in the order of `numbers`.

        Files are mapped for the time of the call only: pages that were looked at do not add up.
        """
        parts, places = [], []
        for shelf, rows, at in self.rows(numbers):
            parts.append(np.array(np.load(shelf.signed / name, mmap_mode="r")[rows, columns]))
            places.append(at)
        if not parts:
            return np.array(np.load(self.shelves[0].signed / name, mmap_mode="r")[:0, columns])
        result = np.empty((len(numbers), *parts[0].shape[1:]), parts[0].dtype)
        for part, at in zip(parts, places, strict=True):
            result[at] = part
        return result

    def rows(self, numbers: Ints) -> Iterator[tuple[Shelf, Ints, Ints]]:
        """Yield, for each shelf that has some, its rows and where these stand in `numbers`."""
        starts = self.starts
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], starts)
        for i, shelf in enumerate(self.shelves):
            at = order[bounds[i] : bounds[i + 1]]
            if len(at):
                yield shelf, numbers[at] - starts[i], at

    def _scoped(self, keys: NDArray[np.uint64], shelf: Shelf, rows: Ints) -> NDArray[np.uint64]:
        return keys ^ source_codes(shelf)[rows] if self.within_source else keys

    def _with_source(self, rows: NDArray[np.uint64], numbers: Ints) -> NDArray[np.uint64]:
        if not self.within_source:
            return rows
        codes = np.empty((len(numbers), 1), np.uint64)
        for shelf, of_shelf, at in self.rows(numbers):
            codes[at, 0] = source_codes(shelf)[of_shelf]
        return np.concatenate([rows, codes], axis=1)


def source_codes(shelf: Shelf) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the source of every document of a shelf."""
    names = read_table(shelf.standing, ("source",))["source"].combine_chunks().dictionary_encode()
    codes = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names.dictionary.to_pylist()], np.uint64)
    return np.asarray(codes[names.indices.to_numpy()], np.uint64)


def _column(shelf: Shelf, name: str) -> NDArray[Any]:
    return np.asarray(read_table(shelf.standing, (name,))[name].to_numpy())


def _words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    # Big-endian, so that the order of the numbers is that of the digests.
    return np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
