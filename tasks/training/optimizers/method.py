"""What an optimizer is to those that use it: a state they keep and never look into, and a step.

Weights, gradients and state are tensors by name. A state's tensor is called `SLOT/NAME OF THE WEIGHT`, so that a checkpoint
is the same whoever wrote it: many proxies stacked along a first axis, one model, or shards of one. It has the shape of the
weight, unless the optimizer does not take shards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class Sharding:
    """How a weight that lies in shards on several devices is put together, and which part of it is this device's."""

    whole: Callable[[str, "Tensor"], "Tensor"]
    own: Callable[[str, "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Step:
    """One step: its number from 0, the learning rate, and what each weight has of rate and decay.

    A weight shrinks by `rate x decay x decays[name]`, and moves by `rate x rates[name]`; without `rates` all move alike.
    The decay goes by the rate of the schedule: how much a weight is kept does not depend on its own rate.
    """

    number: int
    rate: float
    decay: float
    decays: Mapping[str, "float | Tensor"]
    rates: Mapping[str, "float | Tensor"] | None = None
    sharding: Sharding | None = None

    def at(self, number: int, rate: float) -> "Step":
        """Return the same for another step."""
        return replace(self, number=number, rate=rate)


@dataclass(frozen=True)
class OptimizerMethod:
    """One kind of optimizer.

    `init(config, shapes, device)` returns the state before the first step; `update(config, weights, gradients, state, step)`
    changes weights and state in place. `elementwise`: every number is changed by itself, so that all weights may be given
    as one vector, or as shards. `state_bytes(config, shapes)` is the formula of the memory that the state takes, in closed
    form: `init` is tested against it. `shards`: whether weights may be given as shards. `state_fields` are the fields of the
    config that decide the state's tensors: a run that goes on with a state has the same ones. `begin(config, weights,
    state)` changes the weights that a run begins with, and their new state; None = both stay.
    """

    elementwise: bool
    init: Callable[[Any, Shapes, "torch.device | str"], dict[str, "Tensor"]]
    update: Callable[[Any, Tensors, Tensors, Tensors, Step], None]
    state_bytes: Callable[[Any, Shapes], int]
    shards: bool = True
    state_fields: tuple[str, ...] = ()
    begin: Callable[[Any, Tensors, Tensors], None] | None = None


def state_name(slot: str, weight: str) -> str:
    """Return what a tensor of the state is called."""
    return f"{slot}/{weight}"


def split_name(name: str) -> tuple[str, str]:
    """Return slot and weight of a tensor of the state."""
    slot, _, weight = name.partition("/")
    return slot, weight
