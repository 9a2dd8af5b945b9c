"""Where the weights of one proxy stand in a row of numbers, the same for all proxies of a stack.

Axes: N proxies, P parameters, W = P padded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.core.errors import ConfigError
from tasks.training.config import ModelConfig
from tasks.training.multi_token.kinds import MultiTokenKind, method
from tasks.training.multi_token.method import of_model
from tasks.training.multi_token.predictor import all_shapes

# Rows begin on a cache line in both precisions, and behind the weights there is room for one number.
_ALIGNMENT = 32


@dataclass(frozen=True)
class Layout:
    """Where each weight stands in a row of `width` numbers, of which the first `parameters` are weights.

    The model's weights come first; behind them stand those that predict further tokens, where `multi_token` asks for it.
    """

    config: ModelConfig
    vocab_size: int
    places: Mapping[str, tuple[int, tuple[int, ...]]]
    parameters: int
    multi_token: MultiTokenKind | None = None

    @property
    def of_model(self) -> int:
        """How many of the numbers are weights of the model."""
        return sum(prod(shape) for _, shape in of_model(self.places).values())

    @property
    def tap(self) -> int:
        """Behind how many layers of the model further tokens are predicted; all where they are not."""
        if self.multi_token is None:
            return self.config.num_layers
        return method(self.multi_token).tap(self.multi_token, self.config)

    @property
    def width(self) -> int:
        """Numbers of a row, with padding; there is at least one behind the weights."""
        return (self.parameters // _ALIGNMENT + 1) * _ALIGNMENT

    def part(self, rows_NW: Tensor, first: str, last: str | None = None) -> Tensor:
        """Return a weight of all proxies, [N, *shape]; or those from `first` to `last`, one below the other."""
        (start, shape), (end, end_shape) = self.places[first], self.places[last or first]
        stop = end + prod(end_shape)
        return rows_NW[:, start:stop].view(rows_NW.shape[0], -1, *shape[1:])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by name."""
        return {name: shape for name, (_, shape) in self.places.items()}

    def named(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the weights of one proxy's row, or of all proxies' rows, by name, as views."""
        return {
            name: rows[..., start : start + prod(shape)].view(*rows.shape[:-1], *shape)
            for name, (start, shape) in self.places.items()
        }

    def row(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Return weights by name as a row, shape [W]."""
        return self.padded(torch.cat([weights[name].flatten() for name in self.places]))

    def padded(self, values_P: Tensor) -> Tensor:
        """Return numbers of all weights with the padding of a row, shape [W]."""
        return F.pad(values_P, (0, self.width - self.parameters))

    def spread(self, values: Mapping[str, Tensor | float]) -> Tensor:
        """Return a number for each weight by name as one for each element, shape [W]."""
        return self.row({name: torch.full(shape, float(values[name])) for name, shape in self.shapes.items()})


def layout_of(config: ModelConfig, vocab_size: int, multi_token: MultiTokenKind | None = None) -> Layout:
    """Return the layout of the weights that are trained, in the order of `all_shapes`.

    Raises:
        ConfigError: the model is not Llama's with tied embeddings.
    """
    if config.architecture is not None or config.untied_embeddings:
        raise ConfigError(
            "models with another architecture than Llama's, or with an output layer of their own, cannot be stacked: train "
            "a full run of them with `parallel: {kind: ddp}`, on one worker or more; for proxies leave architecture and "
            "untied_embeddings out."
        )
    places, offset = {}, 0
    for name, shape in all_shapes(multi_token, config, vocab_size).items():
        places[name] = (offset, shape)
        offset += prod(shape)
    return Layout(config, vocab_size, places, offset, multi_token)
