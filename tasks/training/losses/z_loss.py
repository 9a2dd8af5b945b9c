"""Cross-entropy with a z-loss: the logits' normaliser is held near 1 (PaLM, arXiv 2204.02311, section 5)."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat

from tasks.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor


class ZLoss(Params):
    """Add `weight` x log(Z)^2 to the cross-entropy of each token, Z = the sum of its exponentiated logits."""

    kind: Literal["z_loss"] = "z_loss"
    weight: PositiveFloat = Field(default=1e-4, description="1e-4 is PaLM's")


def per_token(config: ZLoss, logits_NV: "Tensor", targets_N: "Tensor") -> "Tensor":
    """Return log Z - logit of the target + weight (log Z)^2, [N]."""
    log_total_N = logits_NV.logsumexp(dim=-1)
    return log_total_N - logits_NV.gather(-1, targets_N[:, None])[:, 0] + config.weight * log_total_N.square()
