"""Bits per byte: how well a model predicts held-out text, in a unit that does not depend on the tokenizer."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from math import isfinite, log

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.errors import EvidenceError
from tasks.tokenize.pool import TokenPool, Tokens
from tasks.training.config import Precision
from tasks.training.loss import nats_per_row
from tasks.training.model import Decoder
from tasks.training.numerics import deterministic
from tasks.training.types import DivergedError

_BATCH_ROWS = 8

Windows = npt.NDArray[np.int64]


def bits_per_byte(
    model: Decoder,
    pool: TokenPool,
    split: str,
    max_tokens_per_domain: int | Sequence[int] | None = None,
    *,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Return bits per byte of every domain: sum of nats over target tokens / (ln 2 x sum of their UTF-8 bytes).

    Targets lie in windows of the model's sequence length that do not overlap; the first token of the split is context
    only. With `max_tokens_per_domain` (None = all; or a number for each, 0 = leave it out) as many whole windows as fit
    are taken, evenly spaced over the split: the first ones would be a few long documents (measured: 3.3 bits per byte in
    a domain that has 2.4). The end of a document is a target of 0 bytes: predicting it costs bits and gives no bytes.

    Raises:
        EvidenceError: a domain has nothing to measure in this split.
        DivergedError: the model's predictions are no finite numbers.
    """
    on_cpu = model.output.device.type == "cpu"
    given = max_tokens_per_domain
    limits = list(given) if isinstance(given, Sequence) else [given] * len(pool.domains)
    with deterministic() if on_cpu else nullcontext(), torch.no_grad():
        return {
            domain.name: _domain(model, pool, domain.index, split, limit=limit, precision=precision)
            for domain, limit in zip(pool.domains, limits, strict=True)
            if limit != 0
        }


def _domain(
    model: Decoder, pool: TokenPool, index: int, split: str, *, limit: int | None, precision: Precision
) -> float:
    nats, size, output_VD = 0.0, 0, model.output
    for windows in _batches(pool.domains[index].splits[split].tokens, model.config.sequence_length, limit):
        targets = windows[:, 1:]
        hidden = model(torch.from_numpy(windows[:, :-1].copy()).to(output_VD.device), precision).flatten(0, 1)
        rows = nats_per_row(hidden, output_VD, torch.from_numpy(targets.reshape(-1).copy()).to(output_VD.device))
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


def _batches(tokens: Tokens, length: int, limit: int | None) -> Iterator[Windows]:
    """Yield windows of inputs and targets together, shape [rows, length + 1]; the last window may be shorter."""
    num_targets = max(tokens.size - 1, 0)
    whole, rest = divmod(num_targets, length)
    some = limit is not None and limit < num_targets and whole > 0
    chosen = max(1, limit // length) if some and limit is not None else whole
    rows = [number * whole // chosen for number in range(chosen)]
    for first in range(0, len(rows), _BATCH_ROWS):
        batch = rows[first : first + _BATCH_ROWS]
        yield np.stack([tokens[row * length : (row + 1) * length + 1] for row in batch]).astype(np.int64)
    if rest and not some:
        yield tokens[None, whole * length : num_targets + 1].astype(np.int64)
