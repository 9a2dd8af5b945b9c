"""Cross-entropy of the tied output layer, without ever holding the logits of a step.

The logits of some rows at a time live in the processor's cache; their gradient is formed in the same pass, so that
nothing is computed twice (the idea of Liger's fused linear cross-entropy, arXiv 2410.10989).
"""

from typing import Any

import torch
from torch import Tensor

from tasks.training.losses.kinds import LossKind, per_token
from tasks.training.teachers.distillation import mixed_slopes
from tasks.training.teachers.soft_labels import SoftLabels

# 256 rows x 4096 float32 logits = 4 MB; 64-512 rows were equally fast here, 2048 rows 1.3 times slower.
_ROWS = 256
# Logits held at a time, 64 MiB in float32: a vocabulary of more than 65,536 tokens takes fewer rows.
_LOGITS = 1 << 24
# On a GPU, 1 GiB: a guess.
GPU_LOGITS = 1 << 28


def rows_at_a_time(vocab_size: int, *, on_gpu: bool = False) -> int:
    """Return of how many rows the logits are held together; a GPU, bound by the number of calls, holds many.

    >>> [rows_at_a_time(vocab_size) for vocab_size in (4096, 65_536, 131_072, 262_144)]
    [256, 256, 128, 64]
    """
    return max(1, GPU_LOGITS // vocab_size if on_gpu else min(_ROWS, _LOGITS // vocab_size))


def scored(
    hidden_ND: Tensor,
    embedding_VD: Tensor,
    targets_N: Tensor,
    loss: LossKind | None = None,
    weights_N: Tensor | None = None,
    soft: SoftLabels | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the sum of all nats, a float32 scalar to differentiate, and those of each row, which have no gradient.

    A row's nats are -log softmax(hidden embedding^T)[target]. The scalar's gradient is that of the sum of weight x loss,
    which is the sum of the nats where nothing else is given; `soft` labels mix the loss with the divergence from them. The
    products run in the precision of `hidden_ND`, softmax and sums in float32.
    """
    return _Scored.apply(hidden_ND, embedding_VD, targets_N, loss, weights_N, soft)  # type: ignore[no-any-return, no-untyped-call]


@torch.no_grad()
def nats_per_row(hidden_ND: Tensor, embedding_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Return -log softmax(hidden embedding^T)[target] of each row, float32, shape [N]."""
    output_VD = embedding_VD.to(hidden_ND.dtype)
    rows = rows_at_a_time(len(output_VD), on_gpu=output_VD.is_cuda)
    pairs = zip(torch.split(hidden_ND, rows), torch.split(targets_N, rows), strict=True)
    return torch.cat([_softmax(hidden @ output_VD.T, targets)[1] for hidden, targets in pairs])


def nats_and_gradients(
    hidden_ND: Tensor,
    output_VD: Tensor,
    targets_N: Tensor,
    grad_hidden_ND: Tensor,
    grad_output_VD: Tensor,
    each_N: Tensor,
    loss: LossKind | None = None,
    weights_N: Tensor | None = None,
    soft: SoftLabels | None = None,
) -> Tensor:
    """Return the sum of the nats, a float32 scalar, and write the gradients of the sum of weight x loss (see `scored`).

    That of the output layer is float32. `each_N` gets the nats of each row.
    """
    (vocab_size, width), device = output_VD.shape, output_VD.device
    total = torch.zeros((), dtype=torch.float32, device=device)
    # Transposed: a CPU multiplies into this shape in up to a third less time (float32, AVX2).
    grad_output_DV = torch.zeros(width, vocab_size, dtype=torch.float32, device=device)
    size = rows_at_a_time(vocab_size, on_gpu=output_VD.is_cuda)
    for start in range(0, len(targets_N), size):
        rows = slice(start, start + size)
        some_N = None if weights_N is None else weights_N[rows]
        labels = None if soft is None else soft.part(rows)
        slope_NV, nats_N = slopes(hidden_ND[rows] @ output_VD.T, targets_N[rows], loss, some_N, labels)
        total += nats_N.sum()
        each_N[rows] = nats_N
        slope_NV = slope_NV.to(hidden_ND.dtype)
        torch.mm(slope_NV, output_VD, out=grad_hidden_ND[rows])
        grad_output_DV += hidden_ND[rows].T @ slope_NV
    grad_output_VD.copy_(grad_output_DV.T)
    return total


def slopes(
    logits_NV: Tensor,
    targets_N: Tensor,
    loss: LossKind | None,
    weights_N: Tensor | None,
    soft: SoftLabels | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of each row's weight x loss to its logits, float32, and its nats."""
    if soft is not None:
        slope_NV, nats_N = slopes(logits_NV, targets_N, loss, None)
        slope_NV = mixed_slopes(soft.config, slope_NV, logits_NV, soft.shares())
        return (slope_NV if weights_N is None else slope_NV.mul_(weights_N[:, None])), nats_N
    shares_NV, nats_N = _softmax(logits_NV, targets_N)
    if loss is None:
        shares_NV[torch.arange(len(nats_N), device=nats_N.device), targets_N] -= 1.0
        return (shares_NV if weights_N is None else shares_NV.mul_(weights_N[:, None])), nats_N
    with torch.enable_grad():
        scores_NV = logits_NV.detach().float().requires_grad_()
        losses_N = per_token(loss, scores_NV, targets_N)
        (slope_NV,) = torch.autograd.grad(
            losses_N, scores_NV, torch.ones_like(nats_N) if weights_N is None else weights_N
        )
    return slope_NV, nats_N


class _Scored(torch.autograd.Function):
    """The forward pass makes the gradients too: the loss is the last thing a step computes."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        embedding_VD: Tensor,
        targets_N: Tensor,
        loss: LossKind | None,
        weights_N: Tensor | None,
        soft: SoftLabels | None,
    ) -> tuple[Tensor, Tensor]:
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_embedding_VD = torch.empty(embedding_VD.shape, dtype=torch.float32, device=embedding_VD.device)
        output_VD = embedding_VD.to(hidden_ND.dtype)
        each_N = torch.empty(targets_N.shape, dtype=torch.float32, device=hidden_ND.device)
        made = (grad_hidden_ND, grad_embedding_VD)
        total = nats_and_gradients(hidden_ND, output_VD, targets_N, *made, each_N, loss, weights_N, soft)
        ctx.save_for_backward(*made)
        ctx.mark_non_differentiable(each_N)
        return total, each_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        grad_hidden_ND, grad_embedding_VD = ctx.saved_tensors
        return grad_hidden_ND * grads[0].to(grad_hidden_ND.dtype), grad_embedding_VD * grads[0], None, None, None, None


def _softmax(logits_NV: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities and the nats of the targets; log Z = max - log(largest probability) keeps them finite."""
    scores_NV = logits_NV.float()
    shares_NV = torch.softmax(scores_NV, dim=-1)
    log_total_N = scores_NV.amax(dim=-1) - shares_NV.amax(dim=-1).log()
    return shares_NV, log_total_N - scores_NV.gather(1, targets_N[:, None])[:, 0]
