"""The layers that predict further tokens, as a module beside the decoder, and the gradient that they give it.

Axes: B samples, T places of a sample, D hidden, V vocabulary.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.config import ModelConfig
from tasks.training.layers import Layer, rotary
from tasks.training.loss import scored
from tasks.training.matrices import Weight, on_a_line
from tasks.training.model import Scoring, initial_weight, weight_shapes
from tasks.training.multi_token.kinds import MultiTokenKind, method
from tasks.training.multi_token.method import PREFIX, OwnShapes
from tasks.training.multi_token.trunk import Trunk
from tasks.training.step_losses import labels_ahead


class Block(nn.Module):
    """A layer like the model's, with norms and a projection of its own."""

    def __init__(self, config: ModelConfig, own: OwnShapes) -> None:
        """Make a block whose weights have shapes and no values yet."""
        super().__init__()
        self.config = config
        self.block = Layer(config)
        self.own = nn.ModuleDict({name: Weight(*shape) for name, shape in own.items()})

    def layer(self, trunk: Trunk, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind the layer, [B, T, D]."""
        cos, sin = rotary(trunk.config, x_BTD.shape[1], x_BTD.device)
        made_BTD: Tensor = self.block(x_BTD, cos, sin, trunk.allowed, recompute=trunk.recompute, limited=False)[0]
        return made_BTD

    def norm(self, name: str, x_BTD: Tensor) -> Tensor:
        """Return x behind a norm of the block's."""
        weight = self._own(name)
        return F.rms_norm(x_BTD, weight.shape, weight.to(x_BTD.dtype), self.config.norm_eps)

    def product(self, name: str, x_BTD: Tensor) -> Tensor:
        """Return x times a matrix of the block's."""
        return F.linear(x_BTD, on_a_line(self._own(name).to(x_BTD.dtype)))

    def _own(self, name: str) -> Tensor:
        one = self.own[name]
        assert isinstance(one, Weight)
        return one.weight


class Predictor(nn.Module):
    """All that predicts further tokens in a run."""

    def __init__(self, config: MultiTokenKind, model: ModelConfig) -> None:
        """Make a predictor whose weights have shapes and no values yet."""
        super().__init__()
        self.config, self.method = config, method(config)
        self.tap = self.method.tap(config, model)
        self.layers = nn.ModuleList(Block(model, own) for own in self.method.blocks(config, model.hidden_size))

    def forward(self, trunk: Trunk, scoring: Scoring) -> Tensor:
        """Return a scalar whose gradient is that of the weighted losses of all further tokens, summed over positions."""
        given = (trunk.tokens_BT, trunk.targets_BT, trunk.weights_BT)
        places = self.method.places(self.config)
        made = self.method.predicted(self.config, list(self.layers), trunk)
        total = made[0].new_zeros((), dtype=torch.float32)
        for number, (place, hidden_BTD) in enumerate(zip(places, made, strict=True)):
            targets_BP, counts_BP = labels_ahead(*given, place, scoring.apart)
            hidden_ND = hidden_BTD[:, : targets_BP.shape[1]].flatten(0, 1)
            counts_N = counts_BP.flatten() * (scoring.further * self.config.decay**number)
            total = (
                total + scored(on_a_line(hidden_ND), trunk.output_VD, targets_BP.flatten(), scoring.loss, counts_N)[0]
            )
        return total


@cache
def predictor_of(config: MultiTokenKind, model: ModelConfig) -> Predictor:
    """Return a predictor whose weights have no values, and are given with each call; the same one for the same configs."""
    return Predictor(config, model)


def all_shapes(config: MultiTokenKind | None, model: ModelConfig, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight that is trained: those of the model, and behind them the predictor's."""
    shapes = weight_shapes(model, vocab_size)
    if config is None:
        return shapes
    own = predictor_of(config, model).named_parameters()
    return shapes | {PREFIX + name: tuple(weight.shape) for name, weight in own}


def first_further_weights(config: MultiTokenKind | None, model: ModelConfig, seed: int) -> dict[str, Tensor]:
    """Return new weights of a predictor by name, drawn as the model's are: each from a stream of its own."""
    if config is None:
        return {}
    own = ((PREFIX + name, tuple(weight.shape)) for name, weight in predictor_of(config, model).named_parameters())
    return {name: initial_weight(model, name, shape, seed) for name, shape in own}
