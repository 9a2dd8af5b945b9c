"""What a way of predicting further tokens is to those that train and count it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.training.config import ModelConfig

Named = TypeVar("Named")
# Shapes of what a block has besides its layer, by name; a name that ends in `norm` is a norm's.
OwnShapes = dict[str, tuple[int, ...]]
# What the names of weights begin with that are there for training alone.
PREFIX = "multi_token."


@dataclass(frozen=True)
class FurtherMethod:
    """One kind.

    `places(config)` are the tokens that it predicts, 1 = the next. `blocks(config, width)` are its layers, each the shapes
    of what it has besides a layer of the model. `tap(config, model)`: behind how many layers of the model it stands.
    `predicted(config, blocks, trunk)` returns what the output layer is given for each place, [B, T, D].
    `tokens_each(config)` are the tokens that its layers compute for each of a sample, which then attend to each other
    alone; None = one, as the model's layers do.
    """

    places: Callable[[Any], range]
    blocks: Callable[[Any, int], Sequence[OwnShapes]]
    tap: "Callable[[Any, ModelConfig], int]"
    predicted: "Callable[[Any, Sequence[Any], Any], list[Tensor]]"
    tokens_each: Callable[[Any], int] | None = None


def of_model(named: Mapping[str, Named]) -> dict[str, Named]:
    """Return what is of the model alone: the weights that are measured, exported and started from."""
    return {name: one for name, one in named.items() if not name.startswith(PREFIX)}
