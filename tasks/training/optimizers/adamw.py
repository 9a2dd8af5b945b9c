"""AdamW (arXiv 1711.05101), without torch's optimizers: their import costs each worker several seconds.

The arithmetic is that of `torch.optim.AdamW`, tested against it.
"""

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat

from tasks.core.params import Params
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors, state_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MEAN, _SQUARE = "adam.mean", "adam.square"


class AdamW(Params):
    """Running means of gradient and squared gradient: two numbers of state for each weight."""

    kind: Literal["adamw"] = "adamw"
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    epsilon: PositiveFloat = 1e-8


def init(config: AdamW, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return zero means."""
    import torch

    return {
        state_name(slot, name): torch.zeros(shape, device=device)
        for slot in (_MEAN, _SQUARE)
        for name, shape in shapes.items()
    }


def state_bytes(config: AdamW, shapes: Shapes) -> int:
    """Return 8 bytes for each weight."""
    return 8 * sum(map(prod, shapes.values()))


def statistics(name: str, state: Tensors) -> "tuple[Tensor, Tensor]":
    """Return the running means of a weight's gradient and squared gradient."""
    return state[state_name(_MEAN, name)], state[state_name(_SQUARE, name)]


def update(config: AdamW, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight."""
    update_some(config, weights, weights, gradients, state, step)


def update_some(
    config: AdamW, names: Iterable[str], weights: Tensors, gradients: Tensors, state: Tensors, step: Step
) -> None:
    """Make a step of the named weights."""
    mean_bias, square_bias = 1 - config.beta1 ** (step.number + 1), 1 - config.beta2 ** (step.number + 1)
    for name in names:
        gradient, (mean, square) = gradients[name], statistics(name, state)
        mean.lerp_(gradient, 1 - config.beta1)
        square.mul_(config.beta2).addcmul_(gradient, gradient, value=1 - config.beta2)
        spread = square.sqrt().div_(square_bias**0.5).add_(config.epsilon)
        decay(weights[name], name, step)
        moved = mean if step.rates is None else mean * step.rates[name]
        weights[name].addcdiv_(moved, spread, value=-step.rate / mean_bias)


def decay(weight: "Tensor", name: str, step: Step) -> None:
    """Shrink a weight, by itself and not through its gradient."""
    share = step.decays[name]
    if isinstance(share, float):
        weight.add_(weight, alpha=-step.rate * step.decay * share)
    else:
        weight.addcmul_(weight, share, value=-step.rate * step.decay)


METHOD = OptimizerMethod(elementwise=True, init=init, update=update, state_bytes=state_bytes)
