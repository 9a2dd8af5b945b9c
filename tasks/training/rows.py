"""Which tokens the rows of a domain are made of: its tokens as they lie, or documents weighted and put together anew.

A row trains on T tokens and has one before them as context. As they lie, row r trains on tokens r T + 1 to (r + 1) T. With
weights a document is there floor(w) + [hash(seed, id) < frac(w)] times: first every document that stays, in the order of
the pool, then those that have a second copy, and so on; rows are cut from this stream (or from chunks of it in turn, see
`chunks`), or packed so that no document is split that fits into one. What pads such a row are ends of documents behind the
end of one, which no loss counts.

Axes: D documents, P pieces, R rows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError
from tasks.core.rng import seed_of
from tasks.tokenize.pool import SplitTokens, TokenPool, Tokens
from tasks.tokenize.published import Split
from tasks.training.config import DataConfig
from tasks.training.document_range import inside
from tasks.training.interleave import Floats, Integers
from tasks.training.permutation import mixed
from tasks.training.pieces import Pieces, best_fit_pieces, interleaved_pieces, stream_pieces
from tasks.training.segments import Layout

# The one split that is trained on.
SPLIT: Split = "train"
# A copy takes some 50 bytes of memory while rows are made (a guess: so many take 7 GB).
_MOST_COPIES = 1 << 27


@dataclass(frozen=True)
class DomainRows:
    """The rows of one domain: how many, and how many the same documents give where each is there once.

    `pieces` are what they are made of; None = the tokens as they lie. `scores` are what rows are sorted by within an
    epoch, [R]; None = they are shuffled. `prefixes` are the tokens of metadata that each document begins with here, [D],
    which are no part of what is trained on; None = documents are as they are.
    """

    tokens: Tokens
    starts: Tokens
    document_end: int
    layout: Layout
    count: int
    distinct: int
    pieces: Pieces | None = None
    scores: Floats | None = None
    prefixes: Tokens | None = None

    @property
    def length(self) -> int:
        """Tokens that a row trains on."""
        return self.layout.length

    def metadata(self, index: int) -> npt.NDArray[np.bool_]:
        """Return which of a row's tokens behind the first are metadata, shape [T]."""
        found_T = np.zeros(self.length, dtype=np.bool_)
        if self.prefixes is None:
            return found_T
        if self.pieces is None:
            places = np.arange(index * self.length, (index + 1) * self.length) + 1
        else:
            some = range(int(self.pieces.first[index]), int(self.pieces.first[index + 1]))
            spans = ((int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])) for piece in some)
            places = np.concatenate([np.arange(start, start + size) for start, size in spans])
        documents = self._documents_of(places)
        found_T[: places.size] = places < self._texts_of(documents)
        return found_T

    def row(self, index: int) -> Tokens:
        """Return the tokens of a row, shape [T + 1], as they lie on the disk."""
        if self.pieces is None:
            start = index * self.length
            return self.tokens[start : start + self.length + 1]
        some = range(int(self.pieces.first[index]), int(self.pieces.first[index + 1]))
        begins = self.pieces.starts[some.start]
        # A document's first token stands behind the end of the document before it, whichever that is.
        context = self.tokens[begins - 1 : begins] if begins else np.array([self.document_end], self.tokens.dtype)
        spans = ((int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])) for piece in some)
        row = np.full(self.length + 1, self.document_end, dtype=self.tokens.dtype)
        filled = np.concatenate([context, *(self.tokens[start : start + size] for start, size in spans)])
        row[: filled.size] = filled
        return row

    def documents(self, rows_S: Integers) -> tuple[Integers, Integers]:
        """Return the first and the last document that some rows train on, by their order in the domain."""
        if self.pieces is not None:
            return self.pieces.documents[self.pieces.first[rows_S]], self.pieces.documents[
                self.pieces.first[rows_S + 1] - 1
            ]
        # Token 0 of a row is context only.
        first_S = rows_S * self.length + 1
        return self._documents_of(first_S), self._documents_of(first_S + self.length - 1)

    def of_document(self, document: int) -> tuple[Integers, Integers]:
        """Return the rows that hold a document, and on how many of its tokens each trains."""
        if self.pieces is None:
            first, stop = int(self._texts_of(np.array([document]))[0]), self._stop(document)
            rows = (np.arange(first, stop) - 1) // self.length
            return np.unique(rows[(rows >= 0) & (rows < self.count)], return_counts=True)
        own = np.flatnonzero(self.pieces.documents == document)
        rows, places = np.unique(self.pieces.rows[own], return_inverse=True)
        return rows, np.bincount(places, weights=self._trained_P[own]).astype(np.int64)

    def size_of(self, document: int) -> int:
        """Return the tokens of a document, with its end."""
        return self._stop(document) - int(self._texts_of(np.array([document]))[0])

    def tokens_seen(self, times_R: Integers) -> Integers:
        """Return how many tokens of each document, [D], are trained on if each row is drawn so often."""
        if self.pieces is not None:
            trained = self._trained_P * times_R[self.pieces.rows]
            seen = np.bincount(self.pieces.documents, trained, minlength=len(self.starts))
            return seen.astype(np.int64)
        # Tokens seen before row r, and from that before any token: what stands behind the last whole row is never seen.
        before_R = np.concatenate([[0], np.cumsum(times_R)]) * self.length

        def seen_before(tokens_D: Integers) -> Integers:
            targets = np.clip(tokens_D - 1, 0, self.count * self.length)
            seen: Integers = (
                np.interp(targets, np.arange(len(before_R)) * self.length, before_R).round().astype(np.int64)
            )
            return seen

        ends_D = np.append(self.starts[1:].astype(np.int64), self.tokens.size)[: len(self.starts)]
        return seen_before(ends_D) - seen_before(self._texts_of(np.arange(len(self.starts))))

    @cached_property
    def _trained_P(self) -> Integers:
        """The tokens of each piece without metadata."""
        assert self.pieces is not None, "rows as they lie have no pieces"
        stops_P = self.pieces.starts + self.pieces.lengths
        return stops_P - np.clip(self._texts_of(self.pieces.documents), self.pieces.starts, stops_P)

    def _texts_of(self, documents: Integers) -> Integers:
        """Return the first token of some documents behind their metadata."""
        starts: Integers = self.starts[documents].astype(np.int64)
        return starts if self.prefixes is None else starts + self.prefixes[documents].astype(np.int64)

    def _documents_of(self, tokens_S: Integers) -> Integers:
        found_S: Integers = np.searchsorted(self.starts, tokens_S.astype(self.starts.dtype), "right") - 1
        return found_S

    def _stop(self, document: int) -> int:
        return int(self.starts[document + 1]) if document + 1 < len(self.starts) else self.tokens.size


def rows_of(pool: TokenPool, layout: Layout, config: DataConfig | None) -> tuple[DomainRows, ...]:
    """Return the rows of each domain in the split that is trained on; no config = its tokens as they lie.

    Raises:
        ConfigError: the pool lacks a column that the config names, or has no metadata.
        DataError: a weight is negative or no number, weights ask for too many copies, or a score is no finite number.
    """
    end, own = pool.document_end, config or DataConfig()
    return tuple(_domain_rows(each.splits[SPLIT], each.name, end, layout, own) for each in pool.domains)


def _domain_rows(own: SplitTokens, name: str, document_end: int, layout: Layout, config: DataConfig) -> DomainRows:
    length = layout.length
    tokens, starts, prefixes = _behind_metadata(own) if layout.metadata else (own.tokens, own.starts, None)
    count, named = max(tokens.size - 1, 0) // length, (config.document_weights, config.curriculum, config.packing)
    if all(one is None for one in (*named, layout.interleave, layout.documents)):
        return DomainRows(tokens, starts, document_end, layout, count, count, prefixes=prefixes)
    starts_D = starts.astype(np.int64)
    lengths_D = np.diff(np.append(starts_D, tokens.size))
    copies_D = np.ones(len(starts_D), dtype=np.int64)
    if config.document_weights is not None:
        copies_D = copies(_column(own, name, config.document_weights), own.ids, config.seed, name)
    if (chosen := layout.documents) is not None:
        numbers_D = None if chosen.by is None else _finite(own, name, chosen.by)
        copies_D = copies_D * inside(chosen, lengths_D, numbers_D)
    if layout.interleave is not None:
        pieces = interleaved_pieces(starts_D, lengths_D, copies_D, length, layout.interleave, name)
    else:
        cut = stream_pieces if config.packing is None else best_fit_pieces
        pieces = cut(starts_D, lengths_D, copies_D, length)
    scores = None if config.curriculum is None else _scores(pieces, _finite(own, name, config.curriculum))
    if scores is not None and config.curriculum_order == "descending":
        scores = -scores
    count = len(pieces.first) - 1
    distinct = int(lengths_D[copies_D > 0].sum()) // length if (copies_D > 1).any() else count
    return DomainRows(tokens, starts, document_end, layout, count, distinct, pieces, scores, prefixes)


def _behind_metadata(own: SplitTokens) -> tuple[Tokens, Tokens, Tokens]:
    """Return documents behind their metadata, the first token of each with it, and the tokens of each one's metadata."""
    if own.prefixed is None:
        raise ConfigError(
            "a stage has metadata, and the token pool has none. Set tokenize.metadata and run tokenize again, or leave "
            "metadata out of the stages."
        )
    sizes_D = own.prefixed.sizes
    before_D = np.cumsum(sizes_D, dtype=sizes_D.dtype) - sizes_D
    return own.prefixed.tokens, own.starts + before_D, sizes_D


def _column(own: SplitTokens, domain: str, column: str) -> Floats:
    if column not in own.columns:
        raise ConfigError(
            f"{domain}: the token pool has no number called {column} of each document; it has "
            f"{', '.join(own.columns) or 'none'}. Name it in tokenize.document_columns and run tokenize again."
        )
    return own.columns[column]


def _finite(own: SplitTokens, domain: str, column: str) -> Floats:
    scores_D = _column(own, domain, column)
    wrong = np.flatnonzero(~np.isfinite(scores_D))
    if wrong.size:
        raise DataError(
            f"{domain}: {wrong.size} of {len(scores_D)} documents have a {column} that is no finite number; first: document "
            f"{wrong[0]} with {scores_D[wrong[0]]}. Correct the column, and run tokenize again."
        )
    return scores_D


def copies(weights_D: Floats, ids_D: npt.NDArray[np.uint64], seed: int, domain: str) -> Integers:
    """Return how often each document is there: floor(w) + [hash(seed, id) < frac(w)].

    Raises:
        DataError: a weight is negative or no number, how many and the first; or they ask for too many copies.
    """
    wrong = np.flatnonzero(~(np.isfinite(weights_D) & (weights_D >= 0)))
    if wrong.size:
        raise DataError(
            f"{domain}: {wrong.size} of {len(weights_D)} documents have a weight that is negative or no number; first: "
            f"document {wrong[0]} with {weights_D[wrong[0]]}. Correct the column, and run tokenize again."
        )
    if not weights_D.sum() <= _MOST_COPIES:
        largest = int(weights_D.argmax())
        raise DataError(
            f"{domain}: {len(weights_D)} weights ask for {weights_D.sum():.3g} copies of documents, and at most "
            f"{_MOST_COPIES:,} can be laid out; the largest: document {largest} with {weights_D[largest]:.3g}. Lower them."
        )
    whole_D = np.floor(weights_D)
    key = np.uint64(seed_of(seed, "document weights") % (1 << 64))
    shares_D = (mixed(ids_D ^ key) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (whole_D + (shares_D < weights_D - whole_D)).astype(np.int64)


def _scores(pieces: Pieces, scores_D: Floats) -> Floats:
    """Return the mean score of each row's tokens, [R]."""
    rows, count = pieces.rows, len(pieces.first) - 1
    return np.bincount(rows, pieces.lengths * scores_D[pieces.documents], minlength=count) / np.bincount(
        rows, pieces.lengths, minlength=count
    )
