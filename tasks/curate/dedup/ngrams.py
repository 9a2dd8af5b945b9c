"""The sets of n-grams of documents that met others in a band, for exact similarities; of no other documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.errors import ConfigError
from tasks.core.stage import UnitResult
from tasks.curate.dedup.groups import Ints
from tasks.curate.dedup.library import Library, Shelf
from tasks.curate.dedup.signing.signatures import NgramSets, Shape, ngram_sets
from tasks.curate.dedup.signing.unit import DIGESTS, text_digests
from tasks.curate.statistics.texts import Texts, texts_of
from tasks.curate.statistics.words import batches, running_total

ROWS, HASHES, STARTS = "rows.npy", "hashes.bin", "starts.npy"
# Text whose n-grams are taken at a time; its sets are at most eight times as large.
_BATCH_BYTES = 4_000_000


@dataclass(frozen=True)
class SetsArgs:
    """A shard, which of its rows met others (a file of numbers, counted from `start`), and the kind of n-grams."""

    shelf: Shelf
    start: int
    met: Path
    shape: Shape


def write_sets(args: SetsArgs, folder: Path) -> UnitResult:
    """Write the sets of n-grams of the documents that met others: uint64 hashes, ascending in each set.

    Reads the texts of one shard; about 8 bytes per word of those documents are written.

    Raises:
        ConfigError: the texts of an earlier version are not those that were signed.
    """
    met = np.load(args.met, mmap_mode="r")
    bounds = np.searchsorted(met, [args.start, args.start + args.shelf.documents])
    rows = np.array(met[bounds[0] : bounds[1]]) - args.start
    texts = texts_of(pc.take(args.shelf.texts.read(("text",))["text"], rows))
    if args.shelf.version is not None:
        _check_texts(args.shelf, rows, texts)
    np.save(folder / ROWS, rows)
    sizes = [np.zeros(0, np.int64)]
    with (folder / HASHES).open("wb") as file:
        for part in batches(texts.bytes_N.tolist(), _BATCH_BYTES):
            some = Texts(texts.data, texts.offsets[part.start : part.stop + 1])
            sets = ngram_sets(some, args.shape.kind, args.shape.ngram_words)
            file.write(sets.hashes.data)
            sizes.append(np.diff(sets.starts))
    starts = running_total(np.concatenate(sizes))
    np.save(folder / STARTS, starts)
    return UnitResult(summary={"documents": len(rows), "ngrams": int(starts[-1])})


def gather_sets(library: Library, folders: tuple[Path, ...], numbers: Ints) -> NgramSets:
    """Return the sets of n-grams of documents, in the order of `numbers`; `folders` are those of the shelves."""
    sets = [np.zeros(0, np.uint64)] * len(numbers)
    by_shelf = {id(shelf): folder for shelf, folder in zip(library.shelves, folders, strict=True)}
    for shelf, rows, at in library.rows(numbers):
        for place, found in zip(at.tolist(), _sets_of(by_shelf[id(shelf)], rows), strict=True):
            sets[place] = found
    sizes = np.array([len(found) for found in sets], np.int64)
    return NgramSets(np.concatenate([np.zeros(0, np.uint64), *sets]), running_total(sizes))


def _sets_of(folder: Path, rows: Ints) -> Iterator[NDArray[np.uint64]]:
    places = np.searchsorted(np.load(folder / ROWS, mmap_mode="r"), rows)
    starts = np.load(folder / STARTS, mmap_mode="r")
    firsts, stops = starts[places].tolist(), starts[places + 1].tolist()
    with (folder / HASHES).open("rb") as file:
        for first, stop in zip(firsts, stops, strict=True):
            file.seek(8 * first)
            yield np.frombuffer(file.read(8 * (stop - first)), np.uint64)


def _check_texts(shelf: Shelf, rows: Ints, texts: Texts) -> None:
    signed = np.load(shelf.signed / DIGESTS, mmap_mode="r")[rows]
    if wrong := int((text_digests(texts) != signed).any(axis=1).sum()):
        raise ConfigError(
            f"{shelf.texts.documents}: {wrong:,} of {len(rows):,} texts are not those that were signed (they were "
            "changed afterwards), so their exact similarity to new texts is unknown. Set near.verify to estimated."
        )
