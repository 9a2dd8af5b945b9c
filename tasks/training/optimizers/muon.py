"""Muon (Keller Jordan 2024; arXiv 2502.16982): the matrices of the blocks move along an orthogonalised momentum.

Embedding, output layer and norms have AdamW. The arithmetic is that of `torch.optim.Muon`, tested against it.
"""

from math import prod, sqrt
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.params import Params
from tasks.training.optimizers import adamw
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.groups import group_of
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors, state_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOMENTUM = "muon.momentum"
# Of Keller Jordan's iteration: the steepest at 0; singular values end in about 0.7 to 1.2.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_EPSILON = 1e-7


class Muon(Params):
    """One number of state for each weight of a matrix, two for the others.

    `match_rms_adamw` gives an update the root mean square of AdamW's (0.2), so that a learning rate tuned for it is kept
    (Moonlight's 0.2 sqrt(max(rows, columns))); `original` is Keller Jordan's sqrt(max(1, rows / columns)).
    """

    kind: Literal["muon"] = "muon"
    momentum: float = Field(default=0.95, ge=0, lt=1)
    nesterov: bool = True
    newton_schulz_steps: PositiveInt = Field(default=5, lt=100)
    scaling: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the orthogonalisation; bfloat16, as published, is slow where it is emulated"
    )
    rest: AdamW = AdamW()
    rest_rate_fraction: PositiveFloat = Field(default=1.0, description="AdamW's learning rate, of learning_rate")


def init(config: Muon, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return zero momenta, and the state of AdamW for the rest."""
    import torch

    momenta = {
        state_name(_MOMENTUM, name): torch.zeros(shape, device=device)
        for name, shape in shapes.items()
        if _is_matrix(name)
    }
    rest = {name: shape for name, shape in shapes.items() if not _is_matrix(name)}
    return momenta | adamw.init(config.rest, rest, device)


def state_bytes(config: Muon, shapes: Shapes) -> int:
    """Return 4 bytes for each weight of a matrix, 8 for the others."""
    return sum((4 if _is_matrix(name) else 8) * prod(shape) for name, shape in shapes.items())


def update(config: Muon, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight; matrices may have a first axis of proxies."""
    rest = [name for name in weights if not _is_matrix(name)]
    rest_step = step.at(step.number, step.rate * config.rest_rate_fraction)
    adamw.update_some(config.rest, rest, weights, gradients, state, rest_step)
    for name in weights:
        if not _is_matrix(name):
            continue
        momentum = state[state_name(_MOMENTUM, name)]
        momentum.lerp_(gradients[name], 1 - config.momentum)
        ahead = gradients[name].lerp(momentum, config.momentum) if config.nesterov else momentum
        whole = ahead if step.sharding is None else step.sharding.whole(name, ahead)
        moved = orthogonalized(whole, config.newton_schulz_steps, config.precision)
        moved = moved if step.sharding is None else step.sharding.own(name, moved)
        adamw.decay(weights[name], name, step)
        weights[name].add_(moved, alpha=-step.rate * _scale(config, whole.shape[-2], whole.shape[-1]))


def orthogonalized(matrix: "Tensor", num_steps: int, precision: Literal["float32", "bfloat16"]) -> "Tensor":
    """Return about U V^T of a matrix U S V^T, or of each of a stack of them, by Newton and Schulz's iteration.

    The singular values of what comes out lie around 1, not at it: five steps of a polynomial that is steep at 0.
    """
    import torch

    a, b, c = _COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.bfloat16() if precision == "bfloat16" else matrix
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_EPSILON)
    added = torch.addmm if x.dim() == 2 else torch.baddbmm
    for _ in range(num_steps):
        gram = x @ x.mT
        x = added(x, added(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrix.dtype)


def _scale(config: Muon, rows: int, columns: int) -> float:
    return 0.2 * sqrt(max(rows, columns)) if config.scaling == "match_rms_adamw" else sqrt(max(1.0, rows / columns))


def _is_matrix(name: str) -> bool:
    return group_of(name) == "matrices"


METHOD = OptimizerMethod(elementwise=False, init=init, update=update, state_bytes=state_bytes)
