"""Cross-entropy against labels that are smoothed: a share of each target is spread over the vocabulary."""

from typing import TYPE_CHECKING, Literal

from tasks.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor


class Smoothed(Params):
    """Spread a share of each target evenly."""

    kind: Literal["smoothed"] = "smoothed"
    share: float = 0.1


def per_token(config: Smoothed, logits_NV: "Tensor", targets_N: "Tensor") -> "Tensor":
    """Return the loss of each token, [N]."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits_NV, targets_N, reduction="none", label_smoothing=config.share)
