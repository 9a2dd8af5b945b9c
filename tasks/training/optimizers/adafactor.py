"""Adafactor (arXiv 1804.04235): the second moment of a matrix is kept as means of its rows and of its columns.

The arithmetic is that of `torch.optim.Adafactor`, tested against it, but for the learning rate, which is the schedule's
alone: torch's is at most 1 / sqrt(step).
"""

from collections.abc import Mapping
from math import prod, sqrt
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat

from tasks.core.params import Params
from tasks.training.optimizers import adamw
from tasks.training.optimizers.groups import group_of
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors, state_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_ROWS, _COLUMNS, _SQUARE, _MEAN = (f"adafactor.{slot}" for slot in ("rows", "columns", "square", "mean"))


class Adafactor(Params):
    """A number of state for each row and each column of a matrix; with `beta1` one more for each weight."""

    kind: Literal["adafactor"] = "adafactor"
    beta1: float | None = Field(
        default=None, ge=0, lt=1, description="of a running mean of updates; null = none is kept"
    )
    decay_exponent: float = Field(default=0.8, gt=0, le=1, description="step t has 1 / t^this of the second moment")
    largest_update: PositiveFloat = Field(default=1.0, description="root mean square to which an update is shortened")
    relative: bool = Field(default=True, description="an update is a share of the weight's root mean square")
    smallest_weight: PositiveFloat = Field(default=1e-3, description="root mean square that `relative` takes at least")
    # The least of torch's: the spacing of float32 at 1.
    epsilon: PositiveFloat = Field(default=2.0**-23, description="root of the least second moment")


def init(config: Adafactor, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return zero moments."""
    import torch

    return {name: torch.zeros(shape, device=device) for name, shape in _state_shapes(config, shapes).items()}


def state_bytes(config: Adafactor, shapes: Shapes) -> int:
    """Return 4 bytes for each row and column of a matrix and each number of a norm; with `beta1` 4 more for each weight."""
    factors = sum(shape[-1] if _is_vector(name) else shape[-2] + shape[-1] for name, shape in shapes.items())
    return 4 * factors + (0 if config.beta1 is None else 4 * sum(map(prod, shapes.values())))


def update(config: Adafactor, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight; weights may have a first axis of proxies."""
    new = (step.number + 1) ** -config.decay_exponent
    for name, weight in weights.items():
        gradient, axes = gradients[name], (-1,) if _is_vector(name) else (-2, -1)
        moved = _second_moment(config, name, gradient, state, new).clamp_(min=config.epsilon**2).rsqrt_().mul_(gradient)
        moved.div_((_size(moved, axes) / config.largest_update).clamp_(min=1.0))
        if config.beta1 is not None:
            moved = state[state_name(_MEAN, name)].lerp_(moved, 1 - config.beta1)
        if config.relative:
            moved = moved * _size(weight, axes).clamp_(min=config.smallest_weight)
        adamw.decay(weight, name, step)
        weight.add_(moved, alpha=-step.rate)


def _second_moment(config: Adafactor, name: str, gradient: "Tensor", state: Tensors, new: float) -> "Tensor":
    """Return the running mean of squares, or what its rows and columns say of it, with `new` of this step's."""
    if _is_vector(name):
        return state[state_name(_SQUARE, name)].lerp_(gradient * gradient, new).clone()
    rows, columns = (state[state_name(slot, name)] for slot in (_ROWS, _COLUMNS))
    for factor, axis in ((rows, -1), (columns, -2)):
        factor.lerp_(gradient.norm(dim=axis, keepdim=True).square_().div_(gradient.shape[axis]), new)
    joined: Tensor = rows @ columns
    return joined.div_(rows.mean(dim=-2, keepdim=True).clamp_(min=config.epsilon))


def _size(tensor: "Tensor", axes: tuple[int, ...]) -> "Tensor":
    """Return the root mean square of each weight."""
    norm: Tensor = tensor.norm(dim=axes, keepdim=True)
    return norm / sqrt(prod(tensor.shape[axis] for axis in axes))


def _state_shapes(config: Adafactor, shapes: Shapes) -> Mapping[str, tuple[int, ...]]:
    found = dict[str, tuple[int, ...]]()
    for name, shape in shapes.items():
        if _is_vector(name):
            found[state_name(_SQUARE, name)] = shape
        else:
            found |= {state_name(_ROWS, name): (*shape[:-1], 1)}
            found |= {state_name(_COLUMNS, name): (*shape[:-2], 1, shape[-1])}
        if config.beta1 is not None:
            found[state_name(_MEAN, name)] = shape
    return found


def _is_vector(name: str) -> bool:
    return group_of(name) == "norms"


METHOD = OptimizerMethod(
    elementwise=False, init=init, update=update, state_bytes=state_bytes, shards=False, state_fields=("beta1",)
)
