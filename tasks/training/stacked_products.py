"""Products and scalings of many proxies at once, whose backward passes write the gradients of weights where they belong.

Axes: N proxies, R rows, I in, O out, D hidden.
"""

from typing import Any

import torch
from torch import Tensor

from tasks.training.matrices import begins_a_line, on_a_line


class Product(torch.autograd.Function):
    """x weight^T of each proxy; the backward pass writes the weights' gradient where it belongs."""

    @staticmethod
    def forward(ctx: Any, x_NRI: Tensor, weight_NOI: Tensor, slope_NOI: Tensor) -> Tensor:
        """Return the products, [N, R, O]."""
        ctx.save_for_backward(x_NRI, weight_NOI)
        ctx.slope = slope_NOI
        return _products(x_NRI, weight_NOI.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of what was given, and write that of the weights."""
        x_NRI, weight_NOI = ctx.saved_tensors
        _write_products(grads[0].transpose(1, 2), x_NRI, ctx.slope)
        return _products(grads[0], weight_NOI), None, None


def _products(left_NAB: Tensor, right_NBC: Tensor) -> Tensor:
    """Return the product of each proxy's matrices, [N, A, C]."""
    if left_NAB.is_cuda:
        return torch.bmm(left_NAB, right_NBC)
    out_NAC = left_NAB.new_empty(*left_NAB.shape[:2], right_NBC.shape[2])
    _write_products(left_NAB, right_NBC, out_NAC)
    return out_NAC


def _write_products(left_NAB: Tensor, right_NBC: Tensor, out_NAC: Tensor) -> None:
    """Write the product of each proxy's matrices into `out_NAC`, on a CPU one by one.

    There the size of a whole batch decides which library multiplies and in which blocks, and with it the last bits: torch
    gives oneDNN what has more than 16^3 multiplications. So a stack asks for the very products that its runs ask for
    alone: same shapes, same strides, and beginning on a cache line as theirs do.
    """
    if left_NAB.is_cuda:
        out_NAC.copy_(torch.bmm(left_NAB, right_NBC))
        return
    for left_AB, right_BC, out_AC in zip(left_NAB, right_NBC, out_NAC, strict=True):
        if out_AC.dtype == left_AB.dtype and begins_a_line(out_AC):
            torch.mm(on_a_line(left_AB), on_a_line(right_BC), out=out_AC)
        else:
            out_AC.copy_(torch.mm(on_a_line(left_AB), on_a_line(right_BC)))


class Scaled(torch.autograd.Function):
    """x (float32) times a weight of each proxy and column, rounded to the weight's precision."""

    @staticmethod
    def forward(ctx: Any, x_NRD: Tensor, weight_ND: Tensor, slope_ND: Tensor) -> Tensor:
        """Return what is scaled, [N, R, D]."""
        ctx.save_for_backward(x_NRD, weight_ND)
        ctx.slope = slope_ND
        return (x_NRD * weight_ND[:, None]).to(weight_ND.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of what was given, and write that of the weights."""
        x_NRD, weight_ND = ctx.saved_tensors
        slope_NRD = grads[0].float()
        ctx.slope.copy_((slope_NRD * x_NRD).sum(dim=1).to(weight_ND.dtype))
        return slope_NRD * weight_ND[:, None], None, None
