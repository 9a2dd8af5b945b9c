"""Low-rank training with refactored weights and momentum reset (arXiv 2505.22922): each matrix of the blocks is B A.

What is trained are the factors, by AdamW; the matrix that the model reads is their product, so that a run gives a plain
dense model. Every so many steps the factors are made of the product's singular values anew, which balances them, and the
running mean of their gradients begins at zero. Embedding, output layer and norms have AdamW.
"""

from collections.abc import Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.training.optimizers import adamw
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.groups import group_of
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors, state_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Both factors in one tensor, B above A transposed: [..., rows + columns, rank].
_FACTORS = "low_rank.factors"


class LowRank(Params):
    """Three numbers of state for each number of the factors: itself, and AdamW's two.

    Model and gradient are dense here: what is saved is AdamW's state, not the memory of weights.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: PositiveInt
    # The paper's abstract names neither number; what others read of it is not checked here.
    refactor_every_steps: PositiveInt | None = Field(default=None, description="null = never")
    reset_every_steps: PositiveInt | None = Field(default=None, description="the mean of gradients; null = never")
    adamw: AdamW = AdamW()


def init(config: LowRank, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return zero factors and statistics; `begin` fills the factors.

    Raises:
        ConfigError: a matrix has fewer rows or columns than the rank.
    """
    import torch

    factors = _factor_shapes(config, shapes)
    state = {state_name(_FACTORS, name): torch.zeros(shape, device=device) for name, shape in factors.items()}
    return state | adamw.init(config.adamw, {**shapes, **factors}, device)


def state_bytes(config: LowRank, shapes: Shapes) -> int:
    """Return 12 bytes for each number of the factors, 8 for each weight that has none."""
    factors = _factor_shapes(config, shapes)
    rest = sum(prod(shape) for name, shape in shapes.items() if name not in factors)
    return 12 * sum(map(prod, factors.values())) + 8 * rest


def begin(config: LowRank, weights: Tensors, state: Tensors) -> None:
    """Make each matrix the nearest of its rank, and its factors those of its singular values."""
    import torch

    for name in _matrices(weights):
        left, values, right = torch.linalg.svd(weights[name], full_matrices=False)
        root = values[..., None, : config.rank].sqrt()
        factors = state[state_name(_FACTORS, name)]
        factors.copy_(torch.cat([left[..., : config.rank] * root, right.mT[..., : config.rank] * root], dim=-2))
        weights[name].copy_(_product(factors, weights[name].shape[-2]))


def update(config: LowRank, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight; matrices may have a first axis of proxies."""
    names = _matrices(weights)
    adamw.update_some(config.adamw, weights.keys() - {*names}, weights, gradients, state, step)
    for name in names:
        factors, gradient, rows = state[state_name(_FACTORS, name)], gradients[name], weights[name].shape[-2]
        if _is_due(config.refactor_every_steps, step):
            factors.copy_(balanced(factors, rows))
        if _is_due(config.reset_every_steps, step):
            mean, _ = adamw.statistics(name, state)
            mean.zero_()
        slope = _slope(factors, gradient, rows)
        adamw.update_some(config.adamw, [name], {name: factors}, {name: slope}, state, step)
        weights[name].copy_(_product(factors, rows))


def balanced(factors: "Tensor", rows: int) -> "Tensor":
    """Return factors U S^1/2 and V S^1/2 of the product U S V^T of `factors`, without making it."""
    import torch

    (left, upper), (right, lower) = (torch.linalg.qr(part) for part in (factors[..., :rows, :], factors[..., rows:, :]))
    inner, values, other = torch.linalg.svd(upper @ lower.mT)
    root = values[..., None, :].sqrt()
    return torch.cat([left @ inner * root, right @ other.mT * root], dim=-2)


def _slope(factors: "Tensor", gradient: "Tensor", rows: int) -> "Tensor":
    """Return the gradient of the factors, by that of their product."""
    import torch

    return torch.cat([gradient @ factors[..., rows:, :], gradient.mT @ factors[..., :rows, :]], dim=-2)


def _product(factors: "Tensor", rows: int) -> "Tensor":
    return factors[..., :rows, :] @ factors[..., rows:, :].mT


def _is_due(every: int | None, step: Step) -> bool:
    return every is not None and step.number > 0 and step.number % every == 0


def _matrices(names: Iterable[str]) -> list[str]:
    return [name for name in names if group_of(name) == "matrices"]


def _factor_shapes(config: LowRank, shapes: Shapes) -> Mapping[str, tuple[int, ...]]:
    for name in _matrices(shapes):
        if min(shapes[name][-2:]) < config.rank:
            raise ConfigError(
                f"optimizer.method low_rank: rank {config.rank} is above that of {name}, which is "
                f"{' x '.join(map(str, shapes[name][-2:]))}. Lower rank."
            )
    return {name: (*shapes[name][:-2], sum(shapes[name][-2:]), config.rank) for name in _matrices(shapes)}


METHOD = OptimizerMethod(
    elementwise=False,
    init=init,
    update=update,
    state_bytes=state_bytes,
    shards=False,
    state_fields=("rank",),
    begin=begin,
)
