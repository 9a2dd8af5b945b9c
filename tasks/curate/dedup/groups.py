"""Groups of documents whose rows are equal: equal texts, or equal values in a band. Memory does not grow with the input.

Documents have numbers, counted through all shards. A unit looks at the documents whose 64-bit keys fall into one
partition of all keys; the keys only gather, and the rows themselves decide.

A unit takes one partition of the texts' keys, or of a band's; so a machine holds a part of one band at a time, whatever the
number of documents, and many machines hold many. Where documents are few a unit goes through several bands. Read per
document: 32 bytes and its standing for equal texts; for a band 16 bytes and its standing, and what its signature holds of
the band where it meets another's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.handles import Tree
from tasks.core.results import Here, UnitResult
from tasks.curate.dedup.corpus import Corpus
from tasks.curate.dedup.signing.signatures import Hashes, Ints

# The rows of documents, by their numbers.
Gather = Callable[[Ints], NDArray[Any]]

MEMBERS, STARTS = "members.npy", "starts.npy"
MET = "met.npy"
# Documents whose keys a unit holds: about 40 bytes each, 170 MB.
PARTITION_DOCUMENTS = 1 << 22
# Documents whose rows are in memory at a time: 112 MB of the largest ones (128 values of 8 bytes).
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Groups:
    """Numbers of documents, each group's one after another: group g is `members[starts[g]:starts[g + 1]]`."""

    members: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[Ints]:
        for start, stop in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True):
            yield self.members[start:stop]

    def save(self, folder: Path) -> None:
        """Write two arrays into a folder."""
        np.save(folder / MEMBERS, self.members)
        np.save(folder / STARTS, self.starts)

    @staticmethod
    def load(tree: Tree) -> "Groups":
        """Read what `save` wrote."""
        folder = tree.local()
        return Groups(np.load(folder / MEMBERS), np.load(folder / STARTS))


@dataclass(frozen=True)
class EqualTextsArgs:
    """The documents, and which partition of them."""

    corpus: Corpus
    partition: int
    partitions: int


@dataclass(frozen=True)
class BandArgs:
    """The documents, the groups of equal texts, the rows of a band, and which bands and partition."""

    corpus: Corpus
    equal_texts: tuple[Tree, ...]
    rows: int
    bands: tuple[int, ...]
    partition: int
    partitions: int


@dataclass(frozen=True)
class MetArgs:
    """The groups of all bands."""

    bands: tuple[Tree, ...]


def group_equal_texts(args: EqualTextsArgs, here: Here) -> UnitResult:
    """Write the groups of documents with the same text."""
    corpus = args.corpus
    keys, numbers = _chosen(corpus.text_keys(), args.partition, args.partitions)
    groups = equal_rows(keys, numbers, corpus.texts_and_sources, corpus.digests)
    groups.save(here.folder)
    return UnitResult(summary={"groups": len(groups), "documents": len(groups.members)})


def group_bands(args: BandArgs, here: Here) -> UnitResult:
    """Write the groups of documents whose values agree in all rows of a band; of equal texts, one stands for all."""
    corpus, rows = args.corpus, args.rows
    copies = np.zeros(corpus.documents, np.bool_)
    for tree in args.equal_texts:
        groups = Groups.load(tree)
        copies[np.delete(groups.members, groups.starts[:-1])] = True
    found: list[Groups] = []
    for band in args.bands:
        keys, numbers = _chosen(corpus.band_keys(band, copies), args.partition, args.partitions)
        columns = slice(band * rows, (band + 1) * rows)
        found.append(equal_rows(keys, numbers, partial(corpus.band, columns=columns), corpus.digests))
    groups = one_after_another(found)
    groups.save(here.folder)
    return UnitResult(summary={"groups": len(groups), "documents": len(groups.members)})


def list_met(args: MetArgs, here: Here) -> UnitResult:
    """Write the numbers of the documents that met another in any band, ascending."""
    met = np.zeros(0, np.int64)
    for tree in args.bands:
        met = np.union1d(met, np.load(tree.local() / MEMBERS))
    np.save(here.folder / MET, met)
    return UnitResult(summary={"documents": len(met)})


def groups_of(groups: list[Ints]) -> Groups:
    """Return groups from the numbers of each."""
    starts = np.zeros(len(groups) + 1, np.int64)
    np.cumsum([len(group) for group in groups], out=starts[1:])
    return Groups(np.concatenate([np.zeros(0, np.int64), *groups]), starts)


def one_after_another(several: Sequence[Groups]) -> Groups:
    """Return the groups of several as one list."""
    return groups_of([group for some in several for group in some])


def partitions_for(documents: int, most: int = PARTITION_DOCUMENTS) -> int:
    """Return into how many parts, a power of two, the keys of so many documents are divided.

    >>> partitions_for(10), partitions_for(5, most=2)
    (1, 4)
    """
    return 1 << max(0, -(-documents // most) - 1).bit_length()


def in_partition(keys: Hashes, partition: int, partitions: int) -> NDArray[np.bool_]:
    """Return which keys fall into a partition: by their upper bits."""
    if partitions == 1:
        return np.ones(len(keys), np.bool_)
    shift = np.uint64(64 - (partitions.bit_length() - 1))
    return np.asarray(keys >> shift == np.uint64(partition), np.bool_)


def equal_rows(keys: Hashes, numbers: Ints, rows: Gather, order: Gather, block: int = _BLOCK) -> Groups:
    """Return the groups of two or more documents with equal keys and equal rows.

    Members stand in the order of what `order` gives of them (uint64 columns, the first decides first), then of their
    numbers: an order that follows from the texts alone. At most `block` documents' rows are in memory at a time.
    """
    sorting = np.lexsort((numbers, keys))
    keys, numbers = keys[sorting], numbers[sorting]
    found: list[Ints] = []
    for runs in _blocks_of_runs(keys, block):
        found += _equal_in(keys[runs], numbers[runs], rows, order, block)
    return groups_of(found)


def _blocks_of_runs(keys: Hashes, block: int) -> Iterator[slice]:
    """Yield slices of whole runs of equal keys, as many as fit into a block; a larger run is alone."""
    bounds = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    if len(keys) == 0:
        return
    first = 0
    while first < len(bounds) - 1:
        last = max(int(np.searchsorted(bounds, bounds[first] + block, "right")) - 1, first + 1)
        yield slice(int(bounds[first]), int(bounds[last]))
        first = last


def _equal_in(keys: Hashes, numbers: Ints, rows: Gather, order: Gather, block: int) -> list[Ints]:
    same = keys[1:] == keys[:-1]
    repeated = np.concatenate([same, [False]]) | np.concatenate([[False], same])
    keys, numbers = keys[repeated], numbers[repeated]
    if len(numbers) > block:
        return list(_equal_to_first(numbers, rows, order, block))
    if len(numbers) == 0:
        return []
    values = rows(numbers)
    columns = [keys, *values.T]
    sorting = np.lexsort((*order(numbers).T[::-1], *columns[::-1]))
    differs = np.zeros(len(numbers) - 1, np.bool_)
    for column in columns:
        differs |= column[sorting[1:]] != column[sorting[:-1]]
    return [group for group in np.split(numbers[sorting], np.flatnonzero(differs) + 1) if len(group) > 1]


def _equal_to_first(numbers: Ints, rows: Gather, order: Gather, block: int) -> Iterator[Ints]:
    """Yield the groups of one run that is larger than a block: those equal to its first document, then of the rest."""
    while len(numbers) > 1:
        first = rows(numbers[:1])
        parts = [numbers[start : start + block] for start in range(0, len(numbers), block)]
        equal = np.concatenate([(rows(part) == first).all(axis=1) for part in parts])
        group, numbers = numbers[equal], numbers[~equal]
        ranks = np.concatenate([order(group[start : start + block]) for start in range(0, len(group), block)])
        if len(group) > 1:
            yield group[np.lexsort(ranks.T[::-1])]


def _chosen(
    keys: Iterator[tuple[NDArray[np.uint64], Ints]], partition: int, partitions: int
) -> tuple[NDArray[np.uint64], Ints]:
    parts = [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
    for some, numbers in keys:
        chosen = in_partition(some, partition, partitions)
        parts.append((some[chosen], numbers[chosen]))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
