"""Exposure: which rows of which domain a run saw, how often and when; from its recipe alone, and without drawing it.

Axes: R rows of a domain, of which some are asked for; D documents.
"""

from dataclasses import dataclass

import numpy as np

from tasks.training.data import RunData
from tasks.training.interleave import Integers, position_of
from tasks.training.order import DataOrder
from tasks.training.permutation import unpermuted


@dataclass(frozen=True)
class Appearances:
    """How often a run draws some rows of a domain, and which draw of the domain is the first and the last, all [R]."""

    times: Integers
    first: Integers
    last: Integers


def appearances(order: DataOrder, domain: int, rows_R: Integers) -> Appearances:
    """Return how often a whole run draws each row, and when."""
    size = order.rows[domain]
    whole, rest = divmod(order.totals[domain], max(size, 1))
    numbers_R = _numbers(order, domain, rows_R)
    usable = np.flatnonzero(numbers_R < size)
    found = Appearances(*(np.zeros(len(rows_R), dtype=np.int64) for _ in range(3)))
    # A whole epoch draws every row once; the one that the run ends in, those at its first positions.
    for epoch in sorted({0, max(whole - 1, 0), whole}) if usable.size else ():
        if order.scores is None:
            domains, epochs = np.full(usable.size, domain), np.full(usable.size, epoch)
            positions = order.positions(domains, epochs, numbers_R[usable])
        else:
            positions = _places(order.ascending(domain, epoch), rows_R[usable], order.all_rows[domain])
        drawn = positions < (size if epoch < whole else rest)
        draws, rows = epoch * size + positions[drawn], usable[drawn]
        found.first[rows] = np.where(found.times[rows] > 0, found.first[rows], draws)
        found.last[rows], found.times[rows] = draws, epoch + 1
    return found


def times_seen(order: DataOrder, domain: int) -> Integers:
    """Return how often a whole run draws each row of a domain, shape [R]."""
    return appearances(order, domain, np.arange(order.all_rows[domain])).times


def exposure(data: RunData, domain: int, document: int) -> float:
    """Return how often a run trained on a document's tokens, on average over them (0 = never, 1 = once).

    `document` is its number in the domain's train split. The very first token of a domain is no target, nor are those
    behind its last whole row.
    """
    seen = 0
    for part in data.parts:
        rows, tokens = part.rows[domain].of_document(document)
        seen += int((appearances(part.order, domain, rows).times * tokens).sum())
    return seen / data.parts[0].rows[domain].size_of(document)


def samples_seen(data: RunData, domain: int, document: int) -> tuple[int, int] | None:
    """Return the first and the last sample of the run that hold tokens of a document; None = it was never seen."""
    ends = list[int]()
    for part in data.parts:
        rows, _ = part.rows[domain].of_document(document)
        found = appearances(part.order, domain, rows)
        if (seen := found.times > 0).any():
            draws = (int(found.first[seen].min()), int(found.last[seen].max()))
            ends += [data.number(part, sample_number(part.order, domain, draw)) for draw in draws]
    return (min(ends), max(ends)) if ends else None


def sample_number(order: DataOrder, domain: int, draw: int) -> int:
    """Return which sample of an order is the k-th (`draw`) of its domain."""
    first = 0
    if order.past is not None:
        if draw < (before := int(order.past.drawn[domain])):
            return sample_number(order.past.order, domain, draw)
        first, draw = order.past.samples, draw - before
    for counts, times in zip(order.counts, order.times, strict=True):
        if draw < counts[domain]:
            return first + position_of(times, domain, draw)
        first, draw = first + sum(counts), draw - counts[domain]
    raise IndexError(f"{order.names[domain]} is drawn {order.totals[domain]} times; {draw} more were asked for")


def tokens_seen(data: RunData, domain: int) -> Integers:
    """Return how many tokens of each document of a domain a whole run trained on, shape [D]."""
    found_PD = [part.rows[domain].tokens_seen(times_seen(part.order, domain)) for part in data.parts]
    total_D: Integers = np.sum(found_PD, axis=0)
    return total_D


def _places(rows: Integers, asked: Integers, size: int) -> Integers:
    """Return where each row that is asked for stands among some rows; behind all of them where it does not."""
    places = np.full(size, size)
    places[rows] = np.arange(len(rows))
    return places[asked]


def _numbers(order: DataOrder, domain: int, rows_R: Integers) -> Integers:
    """Return which of the rows that may be used each row is; numbers from `order.rows` on may not be."""
    if order.past is not None:
        return _numbers(order.past.order, domain, rows_R)
    if order.rows[domain] == order.all_rows[domain]:
        return rows_R
    sizes, keys = np.full(len(rows_R), order.all_rows[domain]), np.full(len(rows_R), domain)
    return unpermuted(rows_R, sizes, order.keys("usable rows", keys))
