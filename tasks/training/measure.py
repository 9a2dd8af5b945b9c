"""Bits per byte: how well a model predicts held-out text, in a unit that does not depend on the tokenizer."""

from collections.abc import Iterator
from math import isfinite, log

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.errors import EvidenceError
from tasks.tokenize.pool import TokenPool
from tasks.training.config import Precision
from tasks.training.loop import deterministic
from tasks.training.loss import nats_per_row
from tasks.training.model import EMBEDDING, Model, hidden_states
from tasks.training.types import DivergedError

_BATCH_ROWS = 8

Windows = npt.NDArray[np.int64]


def bits_per_byte(
    model: Model,
    pool: TokenPool,
    split: str,
    max_tokens_per_domain: int | None = None,
    *,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Return bits per byte of every domain: sum of nats over target tokens / (ln 2 x sum of their UTF-8 bytes).

    Each domain's first `max_tokens_per_domain` targets count (None = all; documents lie in a seeded shuffled order), in
    windows of the model's sequence length that do not overlap: the first token of the split is context only. The end of
    a document is a target of 0 bytes: predicting it costs bits and gives no bytes.

    Raises:
        EvidenceError: a domain has nothing to measure in this split.
        DivergedError: the model's predictions are no finite numbers.
    """
    with deterministic(), torch.no_grad():
        return {
            domain.name: _domain(model, pool, domain.index, split, limit=max_tokens_per_domain, precision=precision)
            for domain in pool.domains
        }


def _domain(model: Model, pool: TokenPool, index: int, split: str, *, limit: int | None, precision: Precision) -> float:
    nats, size = 0.0, 0
    for windows in _batches(pool.domains[index].splits[split].tokens, model.config.sequence_length, limit):
        targets = windows[:, 1:]
        hidden = hidden_states(model, torch.from_numpy(windows[:, :-1].copy()), precision).flatten(0, 1)
        rows = nats_per_row(hidden, model.weights[EMBEDDING], torch.from_numpy(targets.reshape(-1).copy()))
        nats += float(rows.double().sum())
        size += int(pool.token_bytes[targets].sum(dtype=np.int64))
    name = pool.names[index]
    if not size:
        raise EvidenceError(
            f"{name}: the split {split!r} has no text to measure. Give the split a larger fraction of the documents, "
            "or merge the domain with another."
        )
    result = nats / (log(2) * size)
    if not isfinite(result):
        raise DivergedError(f"{name}, split {split!r}: the model predicts no finite numbers. Lower learning_rate.")
    return result


def _batches(tokens: npt.NDArray[np.uint16], length: int, limit: int | None) -> Iterator[Windows]:
    """Yield windows of inputs and targets together, shape [rows, length + 1]; the last window may be shorter."""
    num_targets = max(tokens.size - 1, 0) if limit is None else min(max(tokens.size - 1, 0), limit)
    whole, rest = divmod(num_targets, length)
    for first in range(0, whole, _BATCH_ROWS):
        rows = range(first, min(first + _BATCH_ROWS, whole))
        yield np.stack([tokens[row * length : (row + 1) * length + 1] for row in rows]).astype(np.int64)
    if rest:
        yield tokens[None, whole * length : num_targets + 1].astype(np.int64)
