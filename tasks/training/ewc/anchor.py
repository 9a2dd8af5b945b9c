"""What a run is held near to: the weights that it began with, and how much each of them matters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.errors import ConfigError
from tasks.training.optimizers.method import Tensors, state_name
from tasks.training.types import RunSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# A unit writes it, a run reads it: tensors FISHER/NAME and WEIGHTS/NAME.
ANCHOR_FILE = "anchor.safetensors"
_FISHER, _WEIGHTS = "fisher", "weights"


@dataclass(frozen=True)
class Anchor:
    """The weights at the start and their Fisher information, by name: this device's part of each."""

    strength: float
    weights: Mapping[str, "Tensor"]
    fisher: Mapping[str, "Tensor"]

    def pull(self, gradients: Tensors, weights: Tensors) -> None:
        """Add the gradient of the penalty, strength x F (w - w0), to the gradients of a run by name."""
        for name, fisher in self.fisher.items():
            gradients[name].addcmul_(weights[name] - self.weights[name], fisher, value=self.strength)


def anchor_tensors(weights: Tensors, fisher: Tensors) -> "dict[str, Tensor]":
    """Return what stands in the file of an anchor."""
    held = {state_name(_WEIGHTS, name): weights[name] for name in fisher}
    return held | {state_name(_FISHER, name): one for name, one in fisher.items()}


def require_anchor(spec: RunSpec) -> None:
    """Refuse a run that is to be held near to a start and has none.

    Raises:
        ConfigError: what to do.
    """
    if spec.training.ewc is not None and spec.anchor is None:
        raise ConfigError(
            f"{spec.name}: training.ewc holds weights near to those of a start, and this run has none. Runs of the stage "
            "`train` and of arms that begin with a start or a trunk have one; elsewhere set ewc to null."
        )


def anchor_of(
    spec: RunSpec,
    device: "torch.device | str",
    own: "Callable[[str, Tensor], Tensor]" = lambda name, whole: whole,
) -> Anchor | None:
    """Return what a run is held near to; None = nothing. `own(name, whole)` is this device's part of a weight.

    Raises:
        ConfigError: it is to be held near to a start and has none.
    """
    require_anchor(spec)
    if spec.training.ewc is None or spec.anchor is None or not spec.training.ewc.strength:
        return None
    from safetensors import safe_open

    weights, fisher = dict[str, "Tensor"](), dict[str, "Tensor"]()
    with safe_open(spec.anchor.local(), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            slot, _, weight = name.partition("/")
            part = own(weight, file.get_tensor(name).to(device)).clone()
            (fisher if slot == _FISHER else weights)[weight] = part
    return Anchor(spec.training.ewc.strength, weights, fisher)
