"""Pairs that meet in a band are asked for their similarity: estimated from the signatures, or exact.

In every group of documents that meet, those are gone through in the order of their texts' digests: each is compared with
the leaders before it, joins the first that is similar enough, or becomes a leader itself. So a group of k documents
costs k comparisons per leader and not k^2 / 2, and what is found follows from the texts alone.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.curate.dedup.groups import Groups, Ints, groups_of
from tasks.curate.dedup.signing.signatures import NgramSets, estimated_jaccard, exact_jaccard

# Given numbers of documents, a function that gives the similarity of the first to the others, by their places.
Similarities = Callable[[int, Ints], NDArray[np.float64]]
Load = Callable[[Ints], Similarities]

# Documents whose signatures or n-grams are in memory at a time: 30 MB, if texts have 1,000 words.
_BLOCK = 4_096


def verified(groups: Groups, load: Load, min_jaccard: float, block: int = _BLOCK) -> Groups:
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
