"""LinUpper: samples that are easier than half-way count less (arXiv 2502.06733)."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from tasks.training.objectives.objective import ObjectiveParams, StepLosses
from tasks.training.objectives.sample_losses import weights_of_samples

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
    return weights_of_samples(losses, config.temperature, lambda h_S: (h_S + config.delta).clamp(max=config.delta))
