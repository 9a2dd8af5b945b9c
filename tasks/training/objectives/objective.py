"""What an objective is given: the losses of all tokens of a step, before any gradient of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeInt

from tasks.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor


class ObjectiveParams(Params):
    """What every objective has."""

    burn_in_steps: NonNegativeInt = Field(default=0, description="first steps, whose loss is the mean over tokens")

    def holds(self, step: int) -> bool:
        """Return whether a step, counted from 0, goes by it."""
        return step >= self.burn_in_steps


@dataclass(frozen=True)
class StepLosses:
    """The whole step as every process has it: S samples in the order of the data, T tokens each.

    `nats_ST` is the cross-entropy of each token, -1 where nothing is predicted; `domains_S` is the place of each sample's
    domain in the pool.
    """

    step: int
    nats_ST: "Tensor"
    domains_S: "Tensor"

    @property
    def counted_ST(self) -> "Tensor":
        """Which places have a target."""
        return self.nats_ST >= 0
