"""LinUpper's kin: other shapes of a sample's weight over its loss that the same paper compared (arXiv 2502.06733)."""

from typing import TYPE_CHECKING, Literal, assert_never

from pydantic import Field, PositiveFloat

from tasks.training.objectives.objective import ObjectiveParams, StepLosses
from tasks.training.objectives.sample_losses import weights_of_samples

if TYPE_CHECKING:
    from torch import Tensor

Shape = Literal["quadratic", "upper", "extremes"]


class Reweighted(ObjectiveParams):
    """Weigh the samples of a step by softmax(f(h) / temperature).

    h is a sample's mean loss, scaled so that the smallest of the step is -1 and the largest 1. f is 1 - h^2 (`quadratic`:
    the middle counts most), (h + 1) / 2 (`upper`: the hardest), or |h| (`extremes`: both ends). The paper found LinUpper
    better than each, and begins with 1,000 steps of burn-in.
    """

    kind: Literal["reweighted"] = "reweighted"
    shape: Shape
    temperature: PositiveFloat = Field(
        default=1.0, description="r in the paper; the larger, the more alike the weights"
    )


def weights(config: Reweighted, losses: StepLosses) -> "Tensor":
    """Return a weight for each token, [S, T]: one for each sample, 1 on average over those that predict anything."""
    return weights_of_samples(losses, config.temperature, lambda h_S: _shaped(config.shape, h_S))


def _shaped(shape: Shape, h_S: "Tensor") -> "Tensor":
    match shape:
        case "quadratic":
            return 1 - h_S.square()
        case "upper":
            return (h_S + 1) / 2
        case "extremes":
            return h_S.abs()
        case _:
            assert_never(shape)
