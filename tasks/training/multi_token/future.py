"""Future-token prediction: what comes next is told from the vector of one position alone (FTP, arXiv 2410.18160).

The last layer's vector at a position is projected to a few vectors, a pseudo-sequence, and a small decoder predicts the
next tokens from it, each from those before it too, but from nothing else of the text. In the paper the decoder replaces the
output layer, and attends to the pseudo-sequence crosswise; here the model keeps its output layer, and the pseudo-sequence
stands in front of the tokens, where the decoder's attention finds it.
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


class Future(FurtherTokens):
    """A decoder of `num_layers` layers of the model's width that predicts `num_tokens` tokens, the next one first.

    The paper lets tokens count exponentially less with distance (`decay`); by how much was not read in it.
    """

    kind: Literal["future"] = "future"
    num_tokens: int = Field(
        default=4, ge=1, le=64, description="N, the next one with them; nobody has checked the default"
    )
    pseudo_tokens: int = Field(
        default=2,
        ge=1,
        le=64,
        description="vectors that the position's is projected to; nobody has checked the default",
    )
    num_layers: PositiveInt = 1


def places(config: Future) -> range:
    """Return which tokens are predicted: 1 is the next."""
    return range(1, config.num_tokens + 1)


def blocks(config: Future, width: int) -> Sequence[OwnShapes]:
    """Return the decoder's layers; the first has the projection, the last the norm in front of the output layer."""
    found: list[OwnShapes] = [{} for _ in range(config.num_layers)]
    found[0] |= {"state_norm": (width,), "projection": (config.pseudo_tokens * width, width)}
    found[-1] |= {"output_norm": (width,)}
    return found


def tap(config: Future, model: "ModelConfig") -> int:
    """Return behind how many layers the vectors are taken: all."""
    return model.num_layers


def tokens_each(config: Future) -> int:
    """Return how many tokens the decoder has for each position."""
    return config.pseudo_tokens + config.num_tokens - 1


def predicted(config: Future, blocks: "Sequence[Block]", trunk: "Trunk") -> "list[Tensor]":
    """Return what the output layer makes each token of, [B, T, D] each."""
    import torch

    batch, length, width = trunk.state_BTD.shape
    pseudo = blocks[0].product("projection", blocks[0].norm("state_norm", trunk.state_BTD))
    told = [pseudo.view(batch, length, config.pseudo_tokens, width)]
    told += [trunk.embedded(trunk.tokens_ahead(ahead))[:, :, None] for ahead in range(1, config.num_tokens)]
    # A sequence of its own for each position, [B x T, tokens, D].
    states_NUD = torch.cat(told, dim=2).flatten(0, 1)
    for block in blocks:
        states_NUD = block.layer(trunk.alone(), states_NUD)
    made = blocks[-1].norm("output_norm", states_NUD[:, config.pseudo_tokens - 1 :])
    return [one.view(batch, length, width) for one in made.unbind(dim=1)]


METHOD = FurtherMethod(places=places, blocks=blocks, tap=tap, predicted=predicted, tokens_each=tokens_each)
