"""What a way of spreading one decoder over devices gives the engine, and what all ways have in common."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from tasks.core.params import Params
from tasks.training.multi_token.method import PREFIX

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.training.model import Decoder
    from tasks.training.types import World


class SpreadParams(Params):
    """What every way of spreading a model has. Sums are made in another order by each, so all of it is identity."""

    # Whether each device holds a shard of every weight, not all of it.
    SHARDED: ClassVar[bool] = False

    compile: bool = Field(default=False, description="compile each layer; a CPU needs a C++ compiler for it")
    recompute_activations: bool = Field(
        default=False,
        description="a layer's activations are computed again instead of kept: less memory, 4/3 of the work",
    )


@dataclass(frozen=True)
class Spread:
    """A decoder spread over the devices of a world: this process's part of it.

    `call(tokens, precision, targets)` is the decoder's forward pass. `weights` are this device's parts, changed in place;
    `gradients()` returns theirs, of the mean over processes. A part of a step runs in `part(last)`: gradients are exchanged
    in the last. `whole(name, part)` puts a tensor of a weight's shape together on all devices, `own(name, whole)` is its
    inverse. `sharded`: parts differ from device to device.
    """

    call: Callable[..., "Tensor"]
    weights: Mapping[str, "Tensor"]
    gradients: Callable[[], dict[str, "Tensor"]]
    part: Callable[[bool], AbstractContextManager[object]]
    whole: Callable[[str, "Tensor"], "Tensor"]
    own: Callable[[str, "Tensor"], "Tensor"]
    sharded: bool


SpreadOut = Callable[["Decoder", "World", "str"], Spread]


def as_it_is(name: str, tensor: "Tensor") -> "Tensor":
    """Return a tensor that is whole on every device."""
    return tensor


def taken_gradients(model: "Decoder") -> dict[str, "Tensor"]:
    """Return the gradients of all weights by name, and leave the weights without."""
    found = {}
    for name, weight in model.named_parameters():
        # What predicts further tokens has none in steps in which they do not count.
        assert weight.grad is not None or name.startswith(PREFIX), f"{name} is part of the loss"
        found[name], weight.grad = weight.new_zeros(weight.shape) if weight.grad is None else weight.grad, None
    return found
