"""Rows made of pieces of documents: a stream of documents cut, its chunks interleaved, or documents packed whole.

With copies a stream has first every document that is there once or more, in the order of the pool, then those that have a
second copy, and so on.

Axes: D documents, C copies of documents, Q parts of them, P pieces, R rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.training.chunks import Interleave, in_turn
from tasks.training.interleave import Integers


@dataclass(frozen=True)
class Pieces:
    """The rows of a domain as pieces of documents: row r has pieces `first[r]` to `first[r + 1]` (excluded).

    Of each piece [P]: its first token in the domain, its tokens, and its document.
    """

    first: Integers
    starts: Integers
    lengths: Integers
    documents: Integers

    @property
    def rows(self) -> Integers:
        """The row of each piece, [P]."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def stream_pieces(starts_D: Integers, lengths_D: Integers, copies_D: Integers, length: int) -> Pieces:
    """Return the rows of a stream of documents, each there so often; what is left behind the last whole row is left out.

    >>> stream_pieces(np.array([0, 3]), np.array([3, 4]), np.array([2, 1]), 5).documents.tolist()
    [0, 1, 1, 0]
    """
    documents_C = _documents_in_turn(copies_D)
    return _cut(documents_C, starts_D[documents_C], lengths_D[documents_C], length)


def interleaved_pieces(
    starts_D: Integers, lengths_D: Integers, copies_D: Integers, length: int, config: Interleave, domain: str
) -> Pieces:
    """Return the rows of the same stream with the chunks of its documents in turn, see `chunks`."""
    documents_C = _documents_in_turn(copies_D)
    chunks = in_turn(config, lengths_D[documents_C], domain)
    documents_Q = documents_C[chunks.copies]
    return _cut(documents_Q, starts_D[documents_Q] + chunks.begins, chunks.lengths, length)


def _cut(documents_Q: Integers, starts_Q: Integers, lengths_Q: Integers, length: int) -> Pieces:
    """Return the rows of parts of documents that follow each other, each with its first token in the domain."""
    ends_Q = np.cumsum(lengths_Q)
    begins_Q = ends_Q - lengths_Q
    rows = int(ends_Q[-1]) // length if len(ends_Q) else 0
    row_begins = np.arange(rows + 1) * length
    cuts = np.union1d(begins_Q[begins_Q < rows * length], row_begins)
    parts_P = np.searchsorted(begins_Q, cuts[:-1], "right") - 1
    starts_P = starts_Q[parts_P] + cuts[:-1] - begins_Q[parts_P]
    return Pieces(np.searchsorted(cuts, row_begins), starts_P, np.diff(cuts), documents_Q[parts_P])


def best_fit_pieces(starts_D: Integers, lengths_D: Integers, copies_D: Integers, length: int) -> Pieces:
    """Return rows in which no document is split that fits into one: best-fit decreasing (arXiv 2404.10830).

    A longer document gives whole rows, and what is left of it, if that is more than its end, is packed as a document is,
    first in its row. The longest comes first, and each goes where the least room is left that holds it; equal ones in the
    order of the stream.

    >>> best_fit_pieces(np.array([0, 3, 7]), np.array([3, 4, 2]), np.ones(3, dtype=np.int64), 5).documents.tolist()
    [1, 0, 2]
    """
    documents_C = _documents_in_turn(copies_D)
    whole_C, rest_C = np.divmod(lengths_D[documents_C], length)
    whole_documents = np.repeat(documents_C, whole_C)
    numbers = np.arange(whole_documents.size) - np.repeat(np.cumsum(whole_C) - whole_C, whole_C)
    # One token that is left is the end of its document: behind another end it would look like padding.
    some = np.flatnonzero(rest_C > 1)
    some = some[np.argsort(-rest_C[some], kind="stable")]
    rows = whole_documents.size + np.array(_best_fit(rest_C[some].tolist(), length), dtype=np.int64)
    documents_P = np.concatenate([whole_documents, documents_C[some]])
    starts_P = starts_D[documents_P] + np.concatenate([numbers * length, whole_C[some] * length])
    lengths_P = np.concatenate([np.full(whole_documents.size, length), rest_C[some]])
    rows_P = np.concatenate([np.arange(whole_documents.size), rows])
    order = np.lexsort((starts_P == starts_D[documents_P], rows_P))
    first = np.searchsorted(rows_P[order], np.arange(int(rows_P.max(initial=-1)) + 2))
    return Pieces(first, starts_P[order], lengths_P[order], documents_P[order])


def _best_fit(sizes: Sequence[int], room: int) -> list[int]:
    """Return the bin of each item, in turn: the one with the least room that holds it, a new one where none does."""
    found, bins = list[int](), 0
    # Bins by the room that is left in them; the bits of `there` say for which rooms there are any.
    by_room: list[list[int]] = [[] for _ in range(room + 1)]
    there = 0
    for size in sizes:
        if fitting := there >> size:
            left = size + (fitting & -fitting).bit_length() - 1
            chosen = by_room[left].pop()
            if not by_room[left]:
                there ^= 1 << left
        else:
            left, chosen, bins = room, bins, bins + 1
        found.append(chosen)
        if left > size:
            by_room[left - size].append(chosen)
            there |= 1 << (left - size)
    return found


def _documents_in_turn(copies_D: Integers) -> Integers:
    """Return the documents as the stream has them: those that are there once, again those that are there twice, ..."""
    documents_C = np.repeat(np.arange(copies_D.size), copies_D)
    rounds_C = np.arange(documents_C.size) - np.repeat(np.cumsum(copies_D) - copies_D, copies_D)
    return documents_C[np.argsort(rounds_C, kind="stable")]
