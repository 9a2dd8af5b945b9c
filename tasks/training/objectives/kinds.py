"""All objectives: the union of their configs, and the one place that chooses the function of a kind."""

from typing import TYPE_CHECKING, assert_never

from tasks.training.objectives import lin_upper
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.objectives.objective import StepLosses

if TYPE_CHECKING:
    from torch import Tensor

ObjectiveKind = LinUpper


def weights(config: ObjectiveKind, losses: StepLosses) -> "Tensor":
    """Return what each token of a step counts, [S, T]: the step minimises the mean of weight x loss; all 1 = the mean."""
    match config:
        case LinUpper():
            return lin_upper.weights(config, losses)
        case _:
            assert_never(config)
