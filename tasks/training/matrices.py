"""Weights of a model without values, and matrices as the libraries that multiply them want them."""

import torch
from torch import Tensor, nn

_LINE_BYTES = 64


class Weight(nn.Module):
    """One weight without values. Torch's own layers would draw some, which on `meta` imports the compiler."""

    def __init__(self, *shape: int) -> None:
        """Make a weight of a shape."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape, device="meta"))


def on_a_line(matrix: Tensor) -> Tensor:
    """Return a matrix that begins on a cache line, as a new tensor does: MKL promises equal bits for no other."""
    return matrix if torch.compiler.is_compiling() or begins_a_line(matrix) else matrix.clone()


def begins_a_line(matrix: Tensor) -> bool:
    """Return whether a matrix begins on a cache line."""
    return matrix.data_ptr() % _LINE_BYTES == 0
