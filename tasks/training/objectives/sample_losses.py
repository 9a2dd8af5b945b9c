"""What objectives have in common that weigh whole samples by their losses (arXiv 2502.06733).

Axes: S samples, T tokens each.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.training.objectives.objective import StepLosses

if TYPE_CHECKING:
    from torch import Tensor


def weights_of_samples(losses: StepLosses, temperature: float, shape: "Callable[[Tensor], Tensor]") -> "Tensor":
    """Return a weight for each token, [S, T]: one for each sample, 1 on average over those that predict anything.

    It is softmax(f(h) / temperature) over the samples of the step, where h is a sample's mean loss, scaled so that the
    smallest of the step is -1 and the largest 1, and `shape` is f. Samples that are all alike are in the middle.
    """
    counts_S = losses.counted_ST.sum(dim=1)
    some_S = counts_S > 0
    means_S = losses.nats_ST.clamp(min=0).sum(dim=1)[some_S] / counts_S[some_S]
    low, high = means_S.aminmax()
    scaled_S = (2 * means_S - (high + low)) / (high - low).clamp(min=1e-12)
    shares_S = (shape(scaled_S) / temperature).softmax(dim=0)
    weights_S = losses.nats_ST.new_ones(len(counts_S))
    weights_S[some_S] = shares_S * len(shares_S)
    return weights_S[:, None].expand_as(losses.nats_ST)
