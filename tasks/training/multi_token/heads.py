"""Several heads on a shared trunk, each for a token of its own (arXiv 2404.19737).

The last layer of the decoder is the head of the next token; every further token has a layer of its own on the same residual
stream, and shares the last norm and the output layer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from tasks.training.multi_token.method import FurtherMethod, OwnShapes
from tasks.training.multi_token.weights import FurtherTokens

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.training.config import ModelConfig
    from tasks.training.multi_token.predictor import Block
    from tasks.training.multi_token.trunk import Trunk


class Heads(FurtherTokens):
    """The next `num_tokens` tokens at once, with a layer for each but the next one's, which is the model's."""

    kind: Literal["heads"] = "heads"
    num_tokens: int = Field(default=4, ge=2, le=64, description="the next one is one of them; 4 in the paper")
    shared_layers: PositiveInt | None = Field(
        default=None, description="layers of the model that all heads share; null = all but the last, as in the paper"
    )


def places(config: Heads) -> range:
    """Return which tokens are predicted: 1 is the next, which the model predicts by itself."""
    return range(2, config.num_tokens + 1)


def blocks(config: Heads, width: int) -> Sequence[OwnShapes]:
    """Return a layer for each head, with nothing besides."""
    return [{} for _ in places(config)]


def tap(config: Heads, model: "ModelConfig") -> int:
    """Return behind how many layers the heads stand."""
    return model.num_layers - 1 if config.shared_layers is None else config.shared_layers


def predicted(config: Heads, blocks: "Sequence[Block]", trunk: "Trunk") -> "list[Tensor]":
    """Return what the output layer makes each further token of, [B, T, D] each."""
    return [trunk.last_norm(block.layer(trunk, trunk.state_BTD)) for block in blocks]


METHOD = FurtherMethod(places=places, blocks=blocks, tap=tap, predicted=predicted)
