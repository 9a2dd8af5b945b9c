"""The unit that finds how often a run trained on the n-grams of task items, from its executed plan.

Axes: E n-grams of the index, M matches (places where one stands), R rows of a domain, I items, X tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import pyarrow as pa

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.tables import write_table
from tasks.curate.decontaminate.index import NgramIndex, read_index
from tasks.evaluation.consumed import consumed_data
from tasks.evaluation.matches import Integers, planted_items, read_matches
from tasks.tokenize.pool import read_pool
from tasks.training.exposure import times_seen
from tasks.training.interleave import Floats
from tasks.training.rows import SPLIT, DomainRows
from tasks.training.types import RunSpec

EXPOSURE = "items.parquet"


@dataclass(frozen=True)
class FoundIn:
    """The matches in a part of a domain's documents; `domain` is its place in the pool."""

    domain: int
    matches: Tree


@dataclass(frozen=True)
class FoundPlanted:
    """The matches in what was planted into a run, and the plan of it."""

    plan: Handle
    matches: Tree


@dataclass(frozen=True)
class ExposureArgs:
    """A run, the samples of each domain in its ledger, the split train of its pool, the index, and what was found there.

    `planted` is what was found in texts that were written over some of its samples; None = none were.
    N-grams that stand in more than `common_documents` documents of the pool are not counted; None = all are.
    """

    run: RunSpec
    consumed: tuple[int, ...]
    pool: Tree
    index: Tree
    found: tuple[FoundIn, ...]
    planted: FoundPlanted | None
    common_documents: int | None


def expose_items(args: ExposureArgs, here: Here) -> UnitResult:
    """Write, for every item, its n-grams, how many of them the run trained on, and how often on the mean one.

    Of a match it counts how often its least trained token was a target. `places` are the matches that were trained on,
    `ngram` are the words of the item's n-gram that was trained on most.
    """
    index, pool = read_index(args.index.local()), read_pool(args.pool.local(), SPLIT)
    data = consumed_data(args.run, pool, args.consumed)
    documents_E, times_E, places_E = (np.zeros(len(index.hashes_E), np.int64) for _ in range(3))
    done = 0
    for domain, parts in groupby(args.found, attrgetter("domain")):
        trained = [Trained.of(part.rows[domain], times_seen(part.order, domain)) for part in data.parts]
        for part in parts:
            document_M, first_M, last_M, entry_M = read_matches(part.matches)
            times_M = times_whole(trained, first_M, last_M)
            np.add.at(times_E, entry_M, times_M)
            np.add.at(places_E, entry_M, times_M > 0)
            distinct = np.unique(np.stack([entry_M, document_M]), axis=1)
            documents_E += np.bincount(distinct[0], minlength=len(documents_E))
            here.progress(done := done + 1, len(args.found))
    if args.planted is not None:
        times_D = np.array([len(item.samples) for item in planted_items(args.planted.plan)])
        document_M, _, _, entry_M = read_matches(args.planted.matches)
        np.add.at(times_E, entry_M, times_D[document_M])
        np.add.at(places_E, entry_M, times_D[document_M])
    counted_E = documents_E <= (args.common_documents or documents_E.max(initial=0))
    write_table(_table(index, counted_E, times_E, places_E), here.folder / EXPOSURE)
    return UnitResult(summary={"common_ngrams": int((~counted_E).sum())})


@dataclass(frozen=True)
class Trained:
    """How often each token of a domain was a target, as steps: from token `places[s]` on `times[s]` times more, or fewer."""

    places: Integers
    times: Integers

    @classmethod
    def of(cls, rows: DomainRows, times_R: Integers) -> "Trained":
        """Return this for rows that are drawn so often; as the tokens lie, row r trains on r T + 1 to (r + 1) T."""
        if rows.pieces is None:
            starts, lengths, times = np.arange(rows.count) * rows.length + 1, np.full(rows.count, rows.length), times_R
        else:
            starts, lengths, times = rows.pieces.starts, rows.pieces.lengths, times_R[rows.pieces.rows]
        places = np.concatenate([starts, starts + lengths])
        order = np.argsort(places, kind="stable")
        return cls(places[order], np.concatenate([[0], np.cumsum(np.concatenate([times, -times])[order])]))

    def at(self, tokens_X: Integers) -> Integers:
        """Return how often tokens were targets."""
        found_X: Integers = self.times[np.searchsorted(self.places, tokens_X, "right")]
        return found_X


def times_whole(trained: Sequence[Trained], first_M: Integers, last_M: Integers) -> Integers:
    """Return how often spans of tokens were trained on whole: as often as the least trained token of each.

    `trained` are the rows of each length that samples have in the run.
    """
    spans_M = last_M - first_M + 1
    begins_M = np.cumsum(spans_M) - spans_M
    tokens_X = np.arange(int(spans_M.sum())) + np.repeat(first_M - begins_M, spans_M)
    times_X = np.sum([part.at(tokens_X) for part in trained], axis=0)
    times_M: Integers = np.minimum.reduceat(times_X, begins_M) if begins_M.size else begins_M
    return times_M


def _table(index: NgramIndex, counted_E: "np.ndarray", times_E: Integers, places_E: Integers) -> pa.Table:
    items_E, number = index.benchmark_E, len(index.coverage)

    def by_item(values_E: "np.ndarray") -> Floats:
        return np.bincount(items_E, np.where(counted_E, values_E, 0), minlength=number).astype(np.float64)

    ngrams_I, seen_I, times_I = by_item(np.ones(len(items_E))), by_item(times_E > 0), by_item(times_E)
    # Of equals, the first n-gram of the index: lexsort's last key counts first.
    order = np.lexsort((np.arange(len(items_E)), -times_E, items_E))
    order = order[counted_E[order] & (times_E[order] > 0)]
    hit, first = np.unique(items_E[order], return_index=True)
    most = dict(zip(hit.tolist(), order[first].tolist(), strict=True))
    return pa.table(
        {
            "ngrams": ngrams_I.astype(np.int64),
            "ngrams_seen": seen_I.astype(np.int64),
            "places": by_item(places_E).astype(np.int64),
            "exposure": times_I / np.maximum(ngrams_I, 1),
            "ngram": pa.array(
                [index.words(most[item]) if item in most else None for item in range(number)], pa.string()
            ),
        }
    )
