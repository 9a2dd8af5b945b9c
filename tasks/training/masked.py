"""The weights of a run that a static mask holds at zero.

Which ones follows from the seed and the matrix's name, so that no checkpoint has to keep them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tasks.core.rng import generator
from tasks.training.optimizers.groups import group_of
from tasks.training.optimizers.method import Shapes, Tensors
from tasks.training.static_mask import StaticMask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Mask:
    """Which weights of each matrix are held at zero: true where one is."""

    config: StaticMask
    zeros: Mapping[str, "Tensor"]

    def apply(self, tensors: Tensors, step: int) -> None:
        """Set to zero what a step holds there, in weights or gradients by name; they may have a first axis of proxies."""
        if self.config.holds(step):
            for name, zero in self.zeros.items():
                tensors[name].masked_fill_(zero, 0.0)


def mask_of(
    config: StaticMask | None,
    shapes: Shapes,
    device: "torch.device | str",
    own: "Callable[[str, Tensor], Tensor]" = lambda name, whole: whole,
) -> Mask | None:
    """Return the mask of a model with weights of these shapes: exactly the share, rounded, of every matrix.

    `own(name, whole)` is this device's part of a matrix. None = the run has no mask.
    """
    import torch

    if config is None:
        return None
    zeros = {}
    for name, shape in shapes.items():
        if group_of(name) == "matrices":
            size = prod(shape)
            zero = torch.zeros(size, dtype=torch.bool)
            drawn = generator(config.seed, "static mask", name).permutation(size)
            zero[torch.from_numpy(drawn[: round(size * config.sparsity)])] = True
            zeros[name] = own(name, zero.view(shape).to(device))
    return Mask(config, zeros)
