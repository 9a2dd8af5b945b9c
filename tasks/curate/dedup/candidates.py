"""The units that find groups: of equal texts, of texts that meet in a band, and of those that are similar enough.

Each takes one partition of the texts' keys, or of a band's; so a machine holds a part of one band at a time, whatever
the number of documents, and many machines hold many. Where documents are few a unit goes through several bands. Read per
document: 32 bytes and its standing for equal texts; for a band 16 bytes and its standing, and what its signature holds
of the band where it meets another's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.stage import UnitResult
from tasks.curate.dedup.groups import MEMBERS, Groups, Ints, equal_rows, in_partition, one_after_another
from tasks.curate.dedup.library import Library
from tasks.curate.dedup.ngrams import gather_sets
from tasks.curate.dedup.signing.signatures import Shape
from tasks.curate.dedup.verify import by_ngrams, by_signatures, verified

MET = "met.npy"


@dataclass(frozen=True)
class EqualTextsArgs:
    """The documents, and which partition of them."""

    library: Library
    partition: int
    partitions: int


@dataclass(frozen=True)
class BandArgs:
    """The documents, the folders of the groups of equal texts, and which bands and partition."""

    library: Library
    equal_texts: tuple[Path, ...]
    shape: Shape
    bands: tuple[int, ...]
    partition: int
    partitions: int


@dataclass(frozen=True)
class MetArgs:
    """The folders of the groups of all bands."""

    bands: tuple[Path, ...]


@dataclass(frozen=True)
class VerifyArgs:
    """The documents, the folder of some groups, the limit; the folders of the sets of n-grams, or None to estimate."""

    library: Library
    groups: Path
    sets: tuple[Path, ...] | None
    min_jaccard: float


def group_equal_texts(args: EqualTextsArgs, folder: Path) -> UnitResult:
    """Write the groups of documents with the same text."""
    library = args.library
    keys, numbers = _chosen(library.text_keys(), args.partition, args.partitions)
    groups = equal_rows(keys, numbers, library.texts_and_sources, library.digests)
    groups.save(folder)
    return UnitResult(summary={"groups": len(groups), "documents": len(groups.members)})


def group_bands(args: BandArgs, folder: Path) -> UnitResult:
    """Write the groups of documents whose values agree in all rows of a band; of equal texts, one stands for all."""
    library, rows = args.library, args.shape.rows
    copies = np.zeros(library.documents, np.bool_)
    for path in args.equal_texts:
        groups = Groups.load(path)
        copies[np.delete(groups.members, groups.starts[:-1])] = True
    found: list[Groups] = []
    for band in args.bands:
        keys, numbers = _chosen(library.band_keys(band, copies), args.partition, args.partitions)
        columns = slice(band * rows, (band + 1) * rows)
        found.append(equal_rows(keys, numbers, partial(library.band, columns=columns), library.digests))
    groups = one_after_another(found)
    groups.save(folder)
    return UnitResult(summary={"groups": len(groups), "documents": len(groups.members)})


def list_met(args: MetArgs, folder: Path) -> UnitResult:
    """Write the numbers of the documents that met another in any band, ascending."""
    met = np.zeros(0, np.int64)
    for path in args.bands:
        met = np.union1d(met, np.load(path / MEMBERS))
    np.save(folder / MET, met)
    return UnitResult(summary={"documents": len(met)})


def verify_groups(args: VerifyArgs, folder: Path) -> UnitResult:
    """Write what is left of groups when similarities are asked for."""
    library, sets = args.library, args.sets
    if sets is None:
        found = verified(
            Groups.load(args.groups), lambda some: by_signatures(library.signatures(some)), args.min_jaccard
        )
    else:
        found = verified(
            Groups.load(args.groups), lambda some: by_ngrams(gather_sets(library, sets, some)), args.min_jaccard
        )
    found.save(folder)
    return UnitResult(summary={"groups": len(found), "documents": len(found.members)})


def _chosen(
    keys: Iterator[tuple[NDArray[np.uint64], Ints]], partition: int, partitions: int
) -> tuple[NDArray[np.uint64], Ints]:
    parts = [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
    for some, numbers in keys:
        chosen = in_partition(some, partition, partitions)
        parts.append((some[chosen], numbers[chosen]))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
