"""How similar documents are that met in a band: estimated from their signatures, or exact, from their sets of n-grams.

The sets are taken of documents that met others, of no others. In every group of documents that meet, those are gone through
in the order of their texts' digests: each is compared with the leaders before it, joins the first that is similar enough, or
becomes a leader itself. So a group of k documents costs k comparisons per leader and not k^2 / 2, and what is found follows
from the texts alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.core.errors import ConfigError
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.curate.dedup.corpus import Corpus, SignedShard
from tasks.curate.dedup.groups import Groups, groups_of
from tasks.curate.dedup.signing.kinds import ngram_sets
from tasks.curate.dedup.signing.signatures import Ints, NgramSets, Shape, estimated_jaccard, exact_jaccard
from tasks.curate.dedup.signing.unit import DIGESTS, text_digests
from tasks.curate.statistics.texts import Texts, texts_of
from tasks.curate.statistics.words import batches, running_total

ROWS, HASHES, STARTS = "rows.npy", "hashes.bin", "starts.npy"
# Text whose n-grams are taken at a time; its sets are at most eight times as large.
_BATCH_BYTES = 4_000_000


# Given numbers of documents, a function that gives the similarity of the first to the others, by their places.
Similarities = Callable[[int, Ints], NDArray[np.float64]]
Load = Callable[[Ints], Similarities]

# Documents whose signatures or n-grams are in memory at a time: 30 MB, if texts have 1,000 words.
_COMPARED = 4_096


@dataclass(frozen=True)
class SetsArgs:
    """A shard, which of its rows met others (a file of numbers, counted from `start`), and the kind of n-grams."""

    shard: SignedShard
    start: int
    met: Handle
    shape: Shape


@dataclass(frozen=True)
class VerifyArgs:
    """The documents, some groups, the limit; the sets of n-grams by shard, or None to estimate."""

    corpus: Corpus
    groups: Tree
    sets: tuple[Tree, ...] | None
    min_jaccard: float


def write_sets(args: SetsArgs, here: Here) -> UnitResult:
    """Write the sets of n-grams of the documents that met others: uint64 hashes, ascending in each set.

    Reads the texts of one shard; about 8 bytes per word of those documents are written.

    Raises:
        ConfigError: the texts of an earlier version are not those that were signed.
    """
    met = np.load(args.met.local(), mmap_mode="r")
    bounds = np.searchsorted(met, [args.start, args.start + args.shard.documents])
    rows = np.array(met[bounds[0] : bounds[1]]) - args.start
    texts = texts_of(pc.take(args.shard.texts.read(("text",))["text"], rows))
    if args.shard.version is not None:
        _check_texts(args.shard, rows, texts)
    np.save(here.folder / ROWS, rows)
    sizes = [np.zeros(0, np.int64)]
    with (here.folder / HASHES).open("wb") as file:
        for part in batches(texts.bytes_N.tolist(), _BATCH_BYTES):
            some = Texts(texts.data, texts.offsets[part.start : part.stop + 1])
            sets = ngram_sets(some, args.shape)
            file.write(sets.hashes.data)
            sizes.append(np.diff(sets.starts))
    starts = running_total(np.concatenate(sizes))
    np.save(here.folder / STARTS, starts)
    return UnitResult(summary={"documents": len(rows), "ngrams": int(starts[-1])})


def verify_groups(args: VerifyArgs, here: Here) -> UnitResult:
    """Write what is left of groups when similarities are asked for."""
    corpus, sets = args.corpus, args.sets
    if sets is None:
        found = verified(
            Groups.load(args.groups), lambda some: by_signatures(corpus.signatures(some)), args.min_jaccard
        )
    else:
        found = verified(
            Groups.load(args.groups), lambda some: by_ngrams(gather_sets(corpus, sets, some)), args.min_jaccard
        )
    found.save(here.folder)
    return UnitResult(summary={"groups": len(found), "documents": len(found.members)})


def gather_sets(corpus: Corpus, trees: tuple[Tree, ...], numbers: Ints) -> NgramSets:
    """Return the sets of n-grams of documents, in the order of `numbers`; `trees` hold them by shard."""
    sets = [np.zeros(0, np.uint64)] * len(numbers)
    by_shard = {id(shard): tree.local() for shard, tree in zip(corpus.shards, trees, strict=True)}
    for shard, rows, at in corpus.rows(numbers):
        for place, found in zip(at.tolist(), _sets_of(by_shard[id(shard)], rows), strict=True):
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


def _check_texts(shard: SignedShard, rows: Ints, texts: Texts) -> None:
    signed = shard.array(DIGESTS, "r")[rows]
    if wrong := int((text_digests(texts) != signed).any(axis=1).sum()):
        raise ConfigError(
            f"{shard.texts.documents.name} of an earlier version: {wrong:,} of {len(rows):,} texts are not those that were "
            "signed (they were changed afterwards), so their exact similarity to new texts is unknown. Set near.verify to "
            "estimated."
        )


def verified(groups: Groups, load: Load, min_jaccard: float, block: int = _COMPARED) -> Groups:
    """Return groups of documents that are similar enough to their first one, the leader.

    `load` reads what is needed to compare at most `block` documents; a larger group is read in parts.
    """
    found: list[Ints] = []
    for part in _parts(groups, block):
        if len(part) == 1 and len(part.members) > block:
            found += _led_in_parts(part.members, load, min_jaccard, block)
            continue
        similarities = load(part.members)
        places = np.arange(len(part.members))
        for start, stop in zip(part.starts[:-1].tolist(), part.starts[1:].tolist(), strict=True):
            found += [part.members[led] for led in _led(places[start:stop], similarities, min_jaccard)]
    return groups_of(found)


def by_signatures(values_NP: NDArray[np.generic]) -> Similarities:
    """Return the similarities that signatures estimate."""
    return lambda one, others: estimated_jaccard(values_NP[one], values_NP[others])


def by_ngrams(sets: NgramSets) -> Similarities:
    """Return the similarities of sets of n-grams."""
    bounds = sets.starts.tolist()

    def similarities(one: int, others: Ints) -> NDArray[np.float64]:
        first = sets.hashes[bounds[one] : bounds[one + 1]]
        return np.array(
            [exact_jaccard(first, sets.hashes[bounds[i] : bounds[i + 1]]) for i in others.tolist()], np.float64
        )

    return similarities


def _parts(groups: Groups, block: int) -> Iterator[Groups]:
    """Yield consecutive groups of at most `block` members together; a larger group is alone."""
    first, bounds = 0, groups.starts
    while first < len(groups):
        last = max(int(np.searchsorted(bounds, bounds[first] + block, "right")) - 1, first + 1)
        starts = bounds[first : last + 1] - bounds[first]
        yield Groups(groups.members[bounds[first] : bounds[last]], starts)
        first = last


def _led(places: Ints, similarities: Similarities, min_jaccard: float) -> Iterator[Ints]:
    while len(places) > 1:
        leader, others = places[:1], places[1:]
        similar = similarities(int(leader[0]), others) >= min_jaccard
        if similar.any():
            yield np.concatenate([leader, others[similar]])
        places = others[~similar]


def _led_in_parts(members: Ints, load: Load, min_jaccard: float, block: int) -> Iterator[Ints]:
    while len(members) > 1:
        leader, others = members[:1], members[1:]
        similar = np.zeros(len(others), np.bool_)
        for start in range(0, len(others), block - 1):
            part = others[start : start + block - 1]
            compared = load(np.concatenate([leader, part]))(0, np.arange(1, len(part) + 1))
            similar[start : start + len(part)] = compared >= min_jaccard
        if similar.any():
            yield np.concatenate([leader, others[similar]])
        members = others[~similar]
