"""All losses of a token: the union of their configs, and the one place that chooses the function of a kind."""

from typing import TYPE_CHECKING, assert_never

from tasks.training.losses import z_loss
from tasks.training.losses.z_loss import ZLoss

if TYPE_CHECKING:
    from torch import Tensor

LossKind = ZLoss


def per_token(config: LossKind, logits_NV: "Tensor", targets_N: "Tensor") -> "Tensor":
    """Return the loss of each token, [N], from float32 logits; torch differentiates it."""
    match config:
        case ZLoss():
            return z_loss.per_token(config, logits_NV, targets_N)
        case _:
            assert_never(config)
