"""LinUpper: samples that are easier than half-way count less (arXiv 2502.06733)."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from tasks.training.objectives.objective import ObjectiveParams, StepLosses

if TYPE_CHECKING:
    from torch import Tensor


class LinUpper(ObjectiveParams):
    """Weigh the samples of a step by softmax(min(h + delta, delta) / temperature).

    h is a sample's mean loss, scaled so that the smallest of the step is -1 and the largest 1. The paper begins with 1,000
    steps of burn-in.
    """

    kind: Literal["lin_upper"] = "lin_upper"
    delta: NonNegativeFloat = 1.0
    temperature: PositiveFloat = Field(
        default=1.0, description="r in the paper; the larger, the more alike the weights"
    )


def weights(config: LinUpper, losses: StepLosses) -> "Tensor":
    """Return a weight for each token, [S, T]: one for each sample, 1 on average over those that predict anything."""
    counts_S = losses.counted_ST.sum(dim=1)
    some_S = counts_S > 0
    means_S = losses.nats_ST.clamp(min=0).sum(dim=1)[some_S] / counts_S[some_S]
    low, high = means_S.aminmax()
    # Samples that are all alike are in the middle.
    scaled_S = (2 * means_S - (high + low)) / (high - low).clamp(min=1e-12)
    shares_S = ((scaled_S + config.delta).clamp(max=config.delta) / config.temperature).softmax(dim=0)
    weights_S = losses.nats_ST.new_ones(len(counts_S))
    weights_S[some_S] = shares_S * len(shares_S)
    return weights_S[:, None].expand_as(losses.nats_ST)
