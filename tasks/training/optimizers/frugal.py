"""FRUGAL (arXiv 2411.07837): a part of each matrix of the blocks has AdamW's state, the rest moves by signs of gradients.

Every so many steps the part is chosen anew, with new statistics. Which one follows from the number of the step alone, or
from the gradient of that step, so that nothing but the part's own state is kept. Embedding, output layer and norms have
AdamW.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Literal, assert_never

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.core.rng import generator, seed_of
from tasks.training.optimizers import adamw
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.groups import group_of, same_in_all_layers
from tasks.training.optimizers.method import OptimizerMethod, Shapes, Step, Tensors, state_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Which choice a state is of, and the directions that `svd` found.
_CHOICE, _PROJECTOR = "frugal.choice", "frugal.projector"


class Frugal(Params):
    """AdamW's two numbers of state for a share of the weights of the matrices, and none for the others.

    `columns`: random columns of each matrix; `matrices`: of each kind of matrix those of random layers; `svd`: the space of
    each matrix's gradient along its largest singular vectors on the shorter side, which are kept beside the state (a GPU
    then waits for the host at every step).
    """

    kind: Literal["frugal"] = "frugal"
    density: float = Field(default=0.25, ge=0, le=1, description="share with a state; 1 = AdamW, 0 = signs alone")
    projection: Literal["columns", "matrices", "svd"] = "columns"
    every_steps: PositiveInt = Field(default=200, description="how long a choice holds")
    sign_scale: PositiveFloat = Field(
        default=1.0, description="rate of what has no state, of learning_rate; 0.1 where a trained model is tuned"
    )
    seed: int = Field(default=0, ge=0, description="of what is chosen, the same in all runs")
    adamw: AdamW = AdamW()


def init(config: Frugal, shapes: Shapes, device: "torch.device | str") -> "dict[str, Tensor]":
    """Return zero statistics, and no choice yet.

    Raises:
        ConfigError: the share of a matrix is nothing.
    """
    import torch

    chosen = _chosen_shapes(config, shapes)
    rest = {name: shapes[name] for name in _with_adamw(config, shapes)}
    state = adamw.init(config.adamw, {**rest, **chosen}, device)
    for name in chosen:
        rows = shapes[name][:-2]
        state[state_name(_CHOICE, name)] = torch.zeros(*rows, 1, dtype=torch.int64, device=device)
        if config.projection == "svd":
            projector = (*rows, min(shapes[name][-2:]), _rank(config, shapes[name]))
            state[state_name(_PROJECTOR, name)] = torch.zeros(projector, device=device)
    return state


def state_bytes(config: Frugal, shapes: Shapes) -> int:
    """Return 8 bytes for every number with a state and every choice, and 4 for those of an `svd`'s directions."""
    rest, chosen = _with_adamw(config, shapes), _chosen_shapes(config, shapes)
    numbers = sum(prod(shapes[name]) for name in rest) + sum(map(prod, chosen.values()))
    projectors = 0
    if config.projection == "svd":
        projectors = sum(min(shapes[name][-2:]) * _rank(config, shapes[name]) for name in chosen)
    return 8 * (numbers + len(chosen)) + 4 * projectors


def update(config: Frugal, weights: Tensors, gradients: Tensors, state: Tensors, step: Step) -> None:
    """Make a step of every weight; matrices may have a first axis of proxies."""
    rest = _with_adamw(config, weights)
    adamw.update_some(config.adamw, rest, weights, gradients, state, step)
    matrices = {name: weights[name] for name in weights.keys() - set(rest)}
    if not config.density:
        for name in matrices:
            _move_by_sign(config, name, weights[name], gradients[name], step)
        return
    match config.projection:
        case "columns":
            for name in matrices:
                _update_columns(config, name, weights[name], gradients[name], state, step)
        case "svd":
            for name in matrices:
                _update_along(config, name, weights[name], gradients[name], state, step)
        case "matrices":
            for names in same_in_all_layers(matrices):
                _update_layers(config, names, weights, gradients, state, step)
        case _:
            assert_never(config.projection)


def _update_columns(
    config: Frugal, name: str, weight: "Tensor", gradient: "Tensor", state: Tensors, step: Step
) -> None:
    size = weight.shape[-1]
    columns = _drawn(config.seed, name, size, int(size * config.density), _choice(config, step), weight.device)
    _forget_unless_of(config, name, state, step)
    part = weight[..., columns]
    adamw.update_some(config.adamw, [name], {name: part}, {name: gradient[..., columns]}, state, _since(config, step))
    _move_by_sign(config, name, weight, gradient, step)
    weight[..., columns] = part


def _update_layers(
    config: Frugal, names: Sequence[str], weights: Tensors, gradients: Tensors, state: Tensors, step: Step
) -> None:
    """Make a step of one matrix of all layers; the states are called as those of the first layers."""
    count = int(len(names) * config.density)
    layers = _drawn(config.seed, names[0], len(names), count, _choice(config, step), "cpu").tolist()
    for own, layer in zip(names, layers, strict=False):
        _forget_unless_of(config, own, state, step)
        given = {own: weights[names[layer]]}, {own: gradients[names[layer]]}
        adamw.update_some(config.adamw, [own], *given, state, _since(config, step))
    for layer in {*range(len(names))} - {*layers}:
        _move_by_sign(config, names[layer], weights[names[layer]], gradients[names[layer]], step)


def _update_along(config: Frugal, name: str, weight: "Tensor", gradient: "Tensor", state: Tensors, step: Step) -> None:
    """Make a step with a state for the gradient's part along directions of the shorter side."""
    tall = weight.shape[-2] >= weight.shape[-1]
    projector = state[state_name(_PROJECTOR, name)]
    stale = _forget_unless_of(config, name, state, step)
    if bool(stale.any()):
        import torch

        left, _, right = torch.linalg.svd(gradient, full_matrices=False)
        found = (right.mT if tall else left)[..., : projector.shape[-1]]
        projector.copy_(torch.where(stale[..., None], found, projector))
    part = gradient @ projector if tall else projector.mT @ gradient
    moved, still = part.new_zeros(part.shape), replace(_since(config, step), decays={name: 0.0})
    adamw.update_some(config.adamw, [name], {name: moved}, {name: part}, state, still)
    along, up = (one @ projector.mT if tall else projector @ one for one in (part, moved))
    _move_by_sign(config, name, weight, gradient - along, step)
    weight.add_(up)


def _move_by_sign(config: Frugal, name: str, weight: "Tensor", gradient: "Tensor", step: Step) -> None:
    adamw.decay(weight, name, step)
    weight.add_(gradient.sign(), alpha=-step.rate * config.sign_scale)


def _forget_unless_of(config: Frugal, name: str, state: Tensors, step: Step) -> "Tensor":
    """Empty the statistics of another choice than the step's, and return where they were of another, [..., 1].

    The choice is read from the state: the first step of one may have been left out.
    """
    held = state[state_name(_CHOICE, name)]
    now = seed_of(config.seed, config.projection, config.every_steps, _choice(config, step)) >> 65
    stale = held != now
    for tensor in adamw.statistics(name, state):
        tensor.masked_fill_(stale[..., None], 0.0)
    held.fill_(now)
    return stale


def _choice(config: Frugal, step: Step) -> int:
    return step.number // config.every_steps


def _since(config: Frugal, step: Step) -> Step:
    """Return the step as AdamW counts it since the choice was made."""
    return step.at(step.number % config.every_steps, step.rate)


@lru_cache(maxsize=1024)
def _drawn(seed: int, name: str, size: int, count: int, choice: int, device: "torch.device | str") -> "Tensor":
    """Return which `count` of `size` a choice has, in ascending order."""
    import torch

    drawn = generator(seed, "frugal", name, choice).permutation(size)[:count]
    return torch.from_numpy(drawn).sort().values.to(device)


def _with_adamw(config: Frugal, names: Iterable[str]) -> list[str]:
    return [name for name in names if config.density == 1 or group_of(name) != "matrices"]


def _chosen_shapes(config: Frugal, shapes: Shapes) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of what has a state of the matrices, by the names of their states."""
    if config.density in (0, 1):
        return {}
    matrices = {name: shape for name, shape in shapes.items() if group_of(name) == "matrices"}
    if config.projection == "matrices":
        found = dict[str, tuple[int, ...]]()
        for names in same_in_all_layers(matrices):
            count = int(len(names) * config.density)
            _require_some(config, count, f"{len(names)} layers")
            found |= {name: matrices[name] for name in names[:count]}
        return found
    return {name: _chosen_shape(config, name, shape) for name, shape in matrices.items()}


def _chosen_shape(config: Frugal, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    *before, rows, columns = shape
    if config.projection == "svd":
        rank = _rank(config, shape)
        _require_some(config, rank, f"{min(rows, columns)} directions of {name}")
        return (*before, rows, rank) if rows >= columns else (*before, rank, columns)
    count = int(columns * config.density)
    _require_some(config, count, f"{columns} columns of {name}")
    return (*before, rows, count)


def _rank(config: Frugal, shape: tuple[int, ...]) -> int:
    return int(min(shape[-2:]) * config.density)


def _require_some(config: Frugal, count: int, of: str) -> None:
    if not count:
        raise ConfigError(
            f"optimizer.method frugal: a density of {config.density:g} is none of the {of}. Raise density, or set it to 0 "
            "for signs alone."
        )


_STATE_FIELDS = ("density", "projection")
_PART = OptimizerMethod(
    elementwise=False,
    init=init,
    update=update,
    state_bytes=state_bytes,
    shards=False,
    state_fields=_STATE_FIELDS,
)
_ALL = OptimizerMethod(elementwise=True, init=init, update=update, state_bytes=state_bytes, state_fields=_STATE_FIELDS)


def method(config: Frugal) -> OptimizerMethod:
    """Return the functions; where all weights have a state they take what AdamW takes, and give its bits."""
    return _ALL if config.density == 1 else _PART
