"""All objectives: the union of their configs, and the one place that chooses the function of a kind."""

from typing import TYPE_CHECKING, Annotated, assert_never

from pydantic import Field

from tasks.training.objectives import lin_upper, reweighted
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.objectives.objective import StepLosses
from tasks.training.objectives.reweighted import Reweighted

if TYPE_CHECKING:
    from torch import Tensor

ObjectiveKind = Annotated[LinUpper | Reweighted, Field(discriminator="kind")]


def weights(config: ObjectiveKind, losses: StepLosses) -> "Tensor":
    """Return what each token of a step counts, [S, T]: the step minimises the mean of weight x loss; all 1 = the mean."""
    match config:
        case LinUpper():
            return lin_upper.weights(config, losses)
        case Reweighted():
            return reweighted.weights(config, losses)
        case _:
            assert_never(config)
