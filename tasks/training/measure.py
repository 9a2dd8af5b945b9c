"""Bits per byte: how well a model predicts held-out text, in a unit that does not depend on the tokenizer."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
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
    model: Decoder | Sequence[Decoder],
    pool: TokenPool,
    split: str,
    max_tokens_per_domain: int | Sequence[int] | None = None,
    *,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Return bits per byte of every domain: sum of nats over target tokens / (ln 2 x sum of their UTF-8 bytes).

    Several models, of one vocabulary and sequence length, are measured as one: the mean of their probabilities.

    Targets lie in windows of the model's sequence length that do not overlap; the first token of the split is context
    only. With `max_tokens_per_domain` (None = all; or a number for each, 0 = leave it out) as many whole windows as fit
    are taken, evenly spaced over the split: the first ones would be a few long documents (measured: 3.3 bits per byte in
    a domain that has 2.4). The end of a document is a target of 0 bytes: predicting it costs bits and gives no bytes.

    Raises:
        EvidenceError: a domain has nothing to measure in this split.
        DivergedError: the model's predictions are no finite numbers.
    """
    found = _predicted(model, pool, split, max_tokens_per_domain, precision=precision)
    return {name: one.nats / (log(2) * one.bytes) for name, one in found.items()}


def nats_per_token(
    model: Decoder | Sequence[Decoder],
    pool: TokenPool,
    split: str,
    max_tokens_per_domain: int | Sequence[int] | None,
    length: int,
) -> dict[str, float]:
    """Return nats per target token of every domain, in windows of `length`; the rest as `bits_per_byte`.

    Its exponential is the perplexity, with the ends of documents among the tokens.
    """
    found = _predicted(model, pool, split, max_tokens_per_domain, length=length)
    return {name: one.nats / one.tokens for name, one in found.items()}


@dataclass(frozen=True)
class _Predicted:
    """What the targets of a domain cost together, and how many UTF-8 bytes and tokens they are."""

    nats: float
    bytes: int
    tokens: int


def _predicted(
    model: Decoder | Sequence[Decoder],
    pool: TokenPool,
    split: str,
    given: int | Sequence[int] | None,
    *,
    precision: Precision = "float32",
    length: int | None = None,
) -> dict[str, _Predicted]:
    """Return what every domain cost, in windows of the first model's sequence length where no other is given."""
    models = (model,) if isinstance(model, Decoder) else tuple(model)
    on_cpu = models[0].output.device.type == "cpu"
    size = models[0].config.sequence_length if length is None else length
    limits = list(given) if isinstance(given, Sequence) else [given] * len(pool.domains)
    with deterministic() if on_cpu else nullcontext(), torch.no_grad():
        return {
            domain.name: _domain(models, pool, domain.index, split, limit=limit, precision=precision, length=size)
            for domain, limit in zip(pool.domains, limits, strict=True)
            if limit != 0
        }


def _domain(
    models: Sequence[Decoder],
    pool: TokenPool,
    index: int,
    split: str,
    *,
    limit: int | None,
    precision: Precision,
    length: int,
) -> _Predicted:
    nats, size, tokens = 0.0, 0, 0
    for windows in _batches(pool.domains[index].splits[split].tokens, length, limit):
        targets = windows[:, 1:]
        rows_MN = torch.stack([_nats(model, windows, precision) for model in models])
        nats += float(_joint(rows_MN).double().sum())
        size += int(pool.token_bytes[targets].sum(dtype=np.int64))
        tokens += targets.size
    name = pool.names[index]
    if not size:
        raise EvidenceError(
            f"{name}: the split {split!r} has no text to measure. Give the split a larger fraction of the documents, "
            "or merge the domain with another."
        )
    if not isfinite(nats):
        raise DivergedError(f"{name}, split {split!r}: the model predicts no finite numbers. Lower learning_rate.")
    return _Predicted(nats, size, tokens)


def _nats(model: Decoder, windows: Windows, precision: Precision) -> torch.Tensor:
    """Return the nats of each target of some windows, float32."""
    output_VD = model.output
    inputs, targets = (torch.from_numpy(part.copy()).to(output_VD.device) for part in (windows[:, :-1], windows[:, 1:]))
    return nats_per_row(model(inputs, precision).flatten(0, 1), output_VD, targets.flatten())


def _joint(nats_MN: torch.Tensor) -> torch.Tensor:
    """Return -log of the mean probability that models give each target, [N], from the nats of each."""
    if len(nats_MN) == 1:
        return nats_MN[0]
    return log(len(nats_MN)) - (-nats_MN).logsumexp(dim=0)


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
