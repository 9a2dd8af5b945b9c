"""Exposure: which rows of which domain a run saw, and how often; rebuilt from its recipe, nothing was logged for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.training.order import DataOrder


@dataclass(frozen=True)
class DocumentSpan:
    """Where a document lies: the domain's index, its first token in that domain's train split, and its tokens."""

    domain: int
    first_token: int
    tokens: int


def times_seen(order: DataOrder, domain: int) -> npt.NDArray[np.int64]:
    """Return how often a whole run draws each row of a domain, shape [rows]."""
    seen_R = np.zeros(order.all_rows[domain], dtype=np.int64)
    samples = order.samples(0, order.num_samples)
    np.add.at(seen_R, samples.rows[samples.domains == domain], 1)
    return seen_R


def exposure(order: DataOrder, span: DocumentSpan, sequence_length: int) -> float:
    """Return how often a run trained on a document's tokens, on average over them (0 = never, 1 = one epoch).

    Token t of a domain is the target of row (t - 1) // sequence_length; the very first token is never a target, nor are
    those behind the last whole row.
    """
    seen_R = times_seen(order, span.domain)
    rows = (np.arange(span.first_token, span.first_token + span.tokens) - 1) // sequence_length
    inside = (rows >= 0) & (rows < seen_R.size)
    return float(seen_R[rows[inside]].sum() / span.tokens) if span.tokens else 0.0
