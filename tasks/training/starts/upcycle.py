"""A dense model made one with experts: every expert begins as a copy of its layer's feed-forward (arXiv 2212.05055).

The routers are drawn, as in a new model. Where the weights of a token's experts sum to 1 the model at its start computes
what the dense one did.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tasks.training.config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

# The names of an expert's weights, and those of a dense feed-forward's.
_COPIED = {"w1.weight": "gate_proj.weight", "w3.weight": "up_proj.weight", "w2.weight": "down_proj.weight"}


def dense(model: ModelConfig) -> ModelConfig:
    """Return the model that one with experts is made of."""
    return model.model_copy(update={"experts": None})


def upcycle_mistakes(model: ModelConfig) -> Iterator[str]:
    """Yield why no dense model can be made this one."""
    if model.experts is None:
        yield "upcycle makes a dense model one with experts, and train.training.model has none. Set its experts."
    elif not model.experts.gate.renormalised:
        yield (
            "upcycle begins with copies of one feed-forward, which give its output where their weights sum to 1. Set "
            "model.experts.gate.renormalised."
        )


def upcycled(weights: "Mapping[str, Tensor]", model: ModelConfig, vocab_size: int, seed: int) -> "dict[str, Tensor]":
    """Return the weights of a model with experts, of those of a dense one."""
    from tasks.training.model import initial_weight, weight_shapes

    made: dict[str, Tensor] = {}
    for name, shape in weight_shapes(model, vocab_size).items():
        layer, sparse, own = name.partition("block_sparse_moe.")
        copied = _COPIED.get(".".join(own.split(".")[2:]))
        if not sparse:
            made[name] = weights[name]
        elif copied is None:
            made[name] = initial_weight(model, name, shape, seed)
        else:
            made[name] = weights[f"{layer}mlp.{copied}"].clone()
    return made
