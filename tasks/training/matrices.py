"""Weights of a model without values, the products of a feed-forward, and matrices as the libraries want them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

_LINE_BYTES = 64


class Weight(nn.Module):
    """One weight without values. Torch's own layers would draw some, which on `meta` imports the compiler."""

    def __init__(self, *shape: int) -> None:
        """Make a weight of a shape."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape, device="meta"))


def swiglu(x_D: Tensor, gate: Weight, up: Weight, down: Weight) -> Tensor:
    """Return down (silu(gate x) * up x), over the last axis, in the precision of `x_D` (arXiv 2002.05202)."""
    joined = torch.cat([gate.weight, up.weight]).to(x_D.dtype)
    gates, values = F.linear(x_D, joined).chunk(2, dim=-1)
    return F.linear(F.silu(gates) * values, on_a_line(down.weight.to(x_D.dtype)))


def on_a_line(matrix: Tensor) -> Tensor:
    """Return a matrix that begins on a cache line, as a new tensor does: MKL promises equal bits for no other."""
    return matrix if torch.compiler.is_compiling() or begins_a_line(matrix) else matrix.clone()


def begins_a_line(matrix: Tensor) -> bool:
    """Return whether a matrix begins on a cache line."""
    return matrix.data_ptr() % _LINE_BYTES == 0
