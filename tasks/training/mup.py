"""Width transfer (muP, arXiv 2203.03466): a learning rate found on a narrow model holds for a wide one of the same shape.

muP asks, for a model m times as wide as the base: hidden matrices with an initial spread of 1/sqrt(m) and a rate of 1/m,
logits times 1/m, and attention scores q k / head_size. The last two would be another model. Here they are folded into
weights instead, which is the same training: with AdamW a weight may be c times as large if its initial value and its rate
are, and what is multiplied by it 1/c (lemma J.1 there). Logits times 1/m are a final norm of 1/m;
scores times c are queries times c. So the decoder is the usual one, and so is what is exported.

Embedding, output layer and norms have the base's rate and initial values.
"""

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.optimizers.groups import group_of

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.training.config import ModelConfig

_FINAL_NORM = "model.norm.weight"


class Mup(Params):
    """The narrow model whose learning rate and initial values are given."""

    base_hidden_size: PositiveInt = Field(le=10**9)
    base_head_size: PositiveInt | None = Field(
        default=None, le=10**9, description="null = this model's: a wider model has more heads, not wider ones"
    )


def rate_factors(mup: Mup, model: "ModelConfig", names: Iterable[str]) -> dict[str, float]:
    """Return what each weight's learning rate is multiplied by."""
    width = model.hidden_size / mup.base_hidden_size
    return {name: _folded(mup, model, name) / (width if group_of(name) == "matrices" else 1.0) for name in names}


def scaled(mup: Mup, model: "ModelConfig", weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return a model's usual initial weights as its width asks for."""
    width = model.hidden_size / mup.base_hidden_size
    return {
        name: weight * (_folded(mup, model, name) / (sqrt(width) if group_of(name) == "matrices" else 1.0))
        for name, weight in weights.items()
    }


def _folded(mup: Mup, model: "ModelConfig", name: str) -> float:
    """Return what is folded into a weight: the factor of the logits, or that of the attention's scores."""
    if name == _FINAL_NORM:
        return mup.base_hidden_size / model.hidden_size
    # Where queries are normalised, their size is that of the norm's weight.
    if name.endswith("q_proj.weight" if model.architecture is None else "q_norm.weight"):
        return sqrt((mup.base_head_size or model.head_size) / model.head_size)
    return 1.0
