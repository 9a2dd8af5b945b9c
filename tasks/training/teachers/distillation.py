"""Learning from other models' predictions: how much these count, which of them, and in which steps.

Knowledge distillation (arXiv 1503.02531) for tokens. SALT (2410.18779) lets a smaller model teach in the first steps alone.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tasks.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor


class Distillation(Params):
    """A token's loss is c x loss + w x T^2 x KL(teachers || model), both distributions softened by the temperature T.

    Several teachers are one: the mean of their probabilities. T^2 keeps the gradient's size (1503.02531, section 2).
    """

    weight: float = Field(gt=0, le=1, description="w; 0.667 in SALT (nobody has checked it here), 0.2 in DDK")
    cross_entropy_weight: NonNegativeFloat | None = Field(
        default=None, description="c; null = 1 - weight; 1 is DDK's (2407.16154)"
    )
    temperature: PositiveFloat = Field(default=1.0, description="T")
    top_k: PositiveInt | None = Field(
        default=None, description="tokens that the teachers hold likeliest, their shares made to sum to 1; null = all"
    )
    first_steps: PositiveInt | None = Field(
        default=None, description="the teachers' phase; behind it the loss is as without them; null = the whole run"
    )
    select_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of a step's samples that count in the teachers' phase: challenging but learnable (SALT-DS); null = all",
    )

    def holds(self, step: int) -> bool:
        """Return whether a step, counted from 0, learns from the teachers."""
        return self.first_steps is None or step < self.first_steps

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.select_share is not None and self.top_k is None:
            yield "select_share takes a token as learnable that is among the teachers' top_k, and top_k is null; set it"

    def end_mistakes(self, num_steps: int) -> Iterator[str]:
        """Yield that the phase ends behind the run."""
        if self.first_steps is not None and self.first_steps > num_steps:
            yield (
                f"distillation.first_steps {self.first_steps} is beyond the end of a run of {num_steps} steps; lower it, or "
                "set it to null"
            )


def mixed_slopes(config: Distillation, slopes_NV: "Tensor", logits_NV: "Tensor", shares_NV: "Tensor") -> "Tensor":
    """Return the gradient to the logits of c x loss + w x T^2 x KL(shares || model), float32, [N, V].

    `slopes_NV` is the gradient of the loss, `shares_NV` what the teachers hold likely. That of the divergence is
    T x (softmax(logits / T) - shares).
    """
    temperature, weight = config.temperature, config.weight
    own = 1.0 - weight if config.cross_entropy_weight is None else config.cross_entropy_weight
    apart_NV = (logits_NV.float() / temperature).softmax(dim=-1).sub_(shares_NV)
    return slopes_NV.mul_(own).add_(apart_NV, alpha=weight * temperature)
