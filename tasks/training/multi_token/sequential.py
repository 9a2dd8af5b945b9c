"""Modules that follow each other, each a token further ahead and told the token before it (DeepSeek-V3, arXiv 2412.19437).

Module k joins the norm of what the module before gave with the norm of the embedding of the k-th token ahead, projects
both to the model's width and adds a layer: what predicts a token has read all tokens before it. Embedding and output layer
are the model's. The paper does not say whether the first module is given the decoder's state before or behind the last
norm; here it is before, and the module's own norm stands behind it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat

from tasks.training.multi_token.method import FurtherMethod, OwnShapes
from tasks.training.multi_token.weights import FurtherTokens

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.training.config import ModelConfig
    from tasks.training.multi_token.predictor import Block
    from tasks.training.multi_token.trunk import Trunk


class Sequential(FurtherTokens):
    """`num_modules` modules, of which each predicts one token further ahead than the one before it."""

    kind: Literal["sequential"] = "sequential"
    weight: NonNegativeFloat = Field(
        default=0.3, description="of each module; the paper divides its 0.3, later 0.1, by the number of modules, 1"
    )
    num_modules: int = Field(default=1, ge=1, le=64)


def places(config: Sequential) -> range:
    """Return which tokens are predicted: 1 is the next, which the model predicts by itself."""
    return range(2, config.num_modules + 2)


def blocks(config: Sequential, width: int) -> Sequence[OwnShapes]:
    """Return a layer for each module, with its norms and its projection."""
    norms = dict.fromkeys(("state_norm", "token_norm", "output_norm"), (width,))
    return [{"projection": (width, 2 * width), **norms} for _ in range(config.num_modules)]


def tap(config: Sequential, model: "ModelConfig") -> int:
    """Return behind how many layers the first module stands: all."""
    return model.num_layers


def predicted(config: Sequential, blocks: "Sequence[Block]", trunk: "Trunk") -> "list[Tensor]":
    """Return what the output layer makes each further token of, [B, T, D] each."""
    import torch

    state_BTD, found = trunk.state_BTD, list["Tensor"]()
    for ahead, block in enumerate(blocks, start=1):
        token_BTD = trunk.embedded(trunk.tokens_ahead(ahead))
        both_BTE = torch.cat([block.norm("state_norm", state_BTD), block.norm("token_norm", token_BTD)], dim=-1)
        state_BTD = block.layer(trunk, block.product("projection", both_BTE))
        found.append(block.norm("output_norm", state_BTD))
    return found


METHOD = FurtherMethod(places=places, blocks=blocks, tap=tap, predicted=predicted)
