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

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import SplitTokens, TokenPool, Tokens
from tasks.tokenize.published import Split
from tasks.training.data_config import DataConfig
from tasks.training.document_numbers import column_of, copies, finite, loss_weights
from tasks.training.document_range import inside
from tasks.training.interleave import Floats, Integers
from tasks.training.pieces import Pieces, best_fit_pieces, interleaved_pieces, stream_pieces
from tasks.training.segments import Layout

# The one split that is trained on.
SPLIT: Split = "train"


@dataclass(frozen=True)
class DomainRows:
    """The rows of one domain: how many, and how many the same documents give where each is there once.

    `pieces` are what they are made of; None = the tokens as they lie. `scores` are what rows are sorted by within an
    epoch, [R]; None = they are shuffled. `prefixes` are the tokens of metadata that each document begins with here, [D],
    which are no part of what is trained on; None = documents are as they are. `counts` is what a token of each document
    counts in the loss, [D]; None = 1.
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
    counts: Floats | None = None

    @property
    def length(self) -> int:
        """Tokens that a row trains on."""
        return self.layout.length

    def metadata(self, index: int) -> npt.NDArray[np.bool_]:
        """Return which of a row's tokens behind the first are metadata, shape [T]."""
        found_T = np.zeros(self.length, dtype=np.bool_)
        if self.prefixes is None:
            return found_T
        places = self._places(index)
        found_T[: places.size] = places < self._texts_of(self._documents_of(places))
        return found_T

    def weights(self, index: int) -> npt.NDArray[np.float32]:
        """Return what each of a row's tokens behind the first counts in the loss, shape [T]."""
        found_T = np.ones(self.length, dtype=np.float32)
        if self.counts is not None:
            places = self._places(index)
            found_T[: places.size] = self.counts[self._documents_of(places)]
        return found_T

    def _places(self, index: int) -> Integers:
        """Return where in the domain's tokens a row's lie behind the first, without what pads it."""
        if self.pieces is None:
            return np.arange(index * self.length, (index + 1) * self.length) + 1
        some = range(int(self.pieces.first[index]), int(self.pieces.first[index + 1]))
        spans = ((int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])) for piece in some)
        return np.concatenate([np.arange(start, start + size) for start, size in spans])

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
        ConfigError: the pool lacks a column or a domain that is named, or has no metadata.
        DataError: a weight is negative or no number, weights ask for too many copies, or a score is no finite number.
    """
    named = () if layout.documents is None else layout.documents.domains
    if unknown := [name for name in named if name not in pool.names]:
        raise ConfigError(
            f"documents names the domains {', '.join(unknown)}, which the pool has not. It has {', '.join(pool.names)}."
        )
    end, own = pool.document_end, config or DataConfig()
    return tuple(_domain_rows(each.splits[SPLIT], each.name, end, layout, own) for each in pool.domains)


def _domain_rows(own: SplitTokens, name: str, document_end: int, layout: Layout, config: DataConfig) -> DomainRows:
    length = layout.length
    tokens, starts, prefixes = _behind_metadata(own) if layout.metadata else (own.tokens, own.starts, None)
    count, named = max(tokens.size - 1, 0) // length, (config.document_weights, config.curriculum, config.packing)
    counts = None if config.loss_weights is None else loss_weights(own, name, config.loss_weights)
    if all(one is None for one in (*named, layout.interleave, layout.documents)):
        return DomainRows(tokens, starts, document_end, layout, count, count, prefixes=prefixes, counts=counts)
    starts_D = starts.astype(np.int64)
    lengths_D = np.diff(np.append(starts_D, tokens.size))
    copies_D = np.ones(len(starts_D), dtype=np.int64)
    if config.document_weights is not None:
        copies_D = copies(column_of(own, name, config.document_weights), own.ids, config.seed, name)
    if (chosen := layout.documents) is not None and chosen.is_of(name):
        numbers_D = None if chosen.by is None else finite(own, name, chosen.by)
        copies_D = copies_D * inside(chosen, lengths_D, numbers_D)
    if layout.interleave is not None:
        pieces = interleaved_pieces(starts_D, lengths_D, copies_D, length, layout.interleave, name)
    else:
        cut = stream_pieces if config.packing is None else best_fit_pieces
        pieces = cut(starts_D, lengths_D, copies_D, length)
    scores = None if config.curriculum is None else _scores(pieces, finite(own, name, config.curriculum))
    if scores is not None and config.curriculum_order == "descending":
        scores = -scores
    count = len(pieces.first) - 1
    distinct = int(lengths_D[copies_D > 0].sum()) // length if (copies_D > 1).any() else count
    return DomainRows(tokens, starts, document_end, layout, count, distinct, pieces, scores, prefixes, counts)


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


def _scores(pieces: Pieces, scores_D: Floats) -> Floats:
    """Return the mean score of each row's tokens, [R]."""
    rows, count = pieces.rows, len(pieces.first) - 1
    return np.bincount(rows, pieces.lengths * scores_D[pieces.documents], minlength=count) / np.bincount(
        rows, pieces.lengths, minlength=count
    )
