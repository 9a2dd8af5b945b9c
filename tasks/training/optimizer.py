"""AdamW on all weights as one vector: a few passes over memory, and no import of torch's optimizers and compiler.

Importing `torch.optim` costs each worker several seconds of processor time; the arithmetic is that of
`torch.optim.AdamW` (tested against it).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.training.config import OptimizerConfig


@dataclass(frozen=True)
class AdamState:
    """The running means of the gradient and of its square, shape [parameters] each; zero before the first step."""

    mean: Tensor
    square: Tensor


def adamw(
    weights_P: Tensor,
    gradient_P: Tensor,
    state: AdamState,
    config: OptimizerConfig,
    *,
    rate: float,
    decay_P: Tensor,
    step: int,
) -> None:
    """Change weights and state in place by step `step` (from 0) of AdamW (arXiv 1711.05101), at learning rate `rate`.

    `decay_P` is 1 where weights decay and 0 elsewhere.
    """
    state.mean.lerp_(gradient_P, 1 - config.beta1)
    state.square.mul_(config.beta2).addcmul_(gradient_P, gradient_P, value=1 - config.beta2)
    mean_bias, square_bias = 1 - config.beta1 ** (step + 1), 1 - config.beta2 ** (step + 1)
    spread_P = state.square.sqrt().div_(square_bias**0.5).add_(config.epsilon)
    weights_P.addcmul_(weights_P, decay_P, value=-rate * config.weight_decay)
    weights_P.addcdiv_(state.mean, spread_P, value=-rate / mean_bias)


def clipped(gradient_P: Tensor, norm: float, limit: float | None) -> Tensor:
    """Return the gradient, shortened to the norm `limit` if it is longer; None = as it is."""
    return gradient_P if limit is None or norm <= limit else gradient_P * (limit / norm)


def clipped_rows(gradient_NP: Tensor, norms_N: Tensor, limit: float | None) -> Tensor:
    """Return gradients of several proxies, each shortened to the norm `limit` if it is longer; no wait for a device."""
    return gradient_NP if limit is None else gradient_NP * (limit / norms_N).clamp(max=1.0)[:, None]


def new_state(weights_P: Tensor) -> AdamState:
    """Return the state before the first step."""
    return AdamState(torch.zeros_like(weights_P), torch.zeros_like(weights_P))
