"""An optimizer without a state: every weight moves by the sign of its gradient."""

from typing import TYPE_CHECKING, Literal

from tasks.core.params import Params
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Signs(Params):
    """Nothing to choose."""

    kind: Literal["signs"] = "signs"


def init(config: Signs, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return no state."""
    return {}


def state_bytes(config: Signs, shapes: Shapes) -> int:
    """Return that it takes none."""
    return 0


def update(config: Signs, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight."""
    for name, weight in weights.items():
        weight.add_(gradients[name].sign(), alpha=-step.rate)


METHOD = OptimizerMethod(elementwise=False, init=init, update=update, state_bytes=state_bytes)
