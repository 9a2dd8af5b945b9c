"""How flat a model's loss is around its weights, on windows of tokens.

Axes: W windows, T positions, P probes.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)
from torch.nn.attention import SDPBackend, sdpa_kernel

from tasks.training.curvature import critical_sharpness, probed
from tasks.training.model import Decoder
from tasks.training.numerics import deterministic
from tasks.training.types import DivergedError

# Logits whose graph is held at a time, 64 MiB in float32; derivatives of derivatives hold several of that size.
_LOGITS = 1 << 24


@dataclass(frozen=True)
class Curvature:
    """The loss in nats per token, v' H v of each probe, and the critical sharpness along the gradient."""

    loss: float
    forms: tuple[float, ...]
    critical_sharpness: float


def flatness(model: Decoder, windows_WT: npt.NDArray[np.int64], num_probes: int, seed: int) -> Curvature:
    """Measure a model on windows of inputs with the token behind them; the loss is the mean over their targets.

    Raises:
        DivergedError: the loss or its derivatives are no finite numbers.
        EvidenceError: the loss has no slope.
    """
    weights, device = list(model.parameters()), model.output.device
    batches = list(_batches(model, torch.from_numpy(windows_WT).to(device)))
    share = 1 / (windows_WT.shape[0] * (windows_WT.shape[1] - 1))
    # Of attention's kernels one has derivatives of derivatives.
    with deterministic() if device.type == "cpu" else nullcontext(), sdpa_kernel(SDPBackend.MATH):
        loss = _loss(model, batches, share)
        if not isfinite(loss):
            raise DivergedError("the model predicts no finite numbers, so that nothing is known of its flatness.")
        parts = [lambda batch=batch: _nats(model, batch) * share for batch in batches]
        forms_P, gradient = probed(parts, weights, num_probes, seed)
        if not np.isfinite(forms_P).all():
            raise DivergedError(
                "the loss has derivatives that are no finite numbers. Train with a lower learning_rate."
            )
        sharpness = critical_sharpness(lambda: _loss(model, batches, share), weights, gradient, loss)
    return Curvature(loss, tuple(forms_P.tolist()), sharpness)


def _batches(model: Decoder, windows_WT: Tensor) -> Iterator[Tensor]:
    rows = max(1, _LOGITS // (model.vocab_size * (windows_WT.shape[1] - 1)))
    yield from torch.split(windows_WT, rows)


@torch.no_grad()
def _loss(model: Decoder, batches: list[Tensor], share: float) -> float:
    return sum(float(_nats(model, batch)) for batch in batches) * share


def _nats(model: Decoder, batch_WT: Tensor) -> Tensor:
    """Return the sum of nats: with the logits themselves, for training's own loss has no second derivatives."""
    hidden = model(batch_WT[:, :-1]).flatten(0, 1)
    return F.cross_entropy((hidden @ model.output.T).double(), batch_WT[:, 1:].flatten(), reduction="sum")
