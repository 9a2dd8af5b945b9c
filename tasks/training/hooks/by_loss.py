"""More of what the model predicts worst: the stage's weights times a power of each domain's bits per byte."""

from math import exp, log
from typing import Literal

from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.training.hooks.boundary import Boundary, Weights


class ByLoss(Params):
    """Weigh each domain by its bits per byte in the train split, as the model predicts it when the stage begins."""

    kind: Literal["by_loss"]
    power: float = Field(
        default=1.0, description="0 = the stage's own weights, above 0 = more of what is predicted worst"
    )
    tokens_per_domain: PositiveInt = Field(default=16_384, description="measured on, spread over the domain")


def decide(config: ByLoss, boundary: Boundary) -> Weights:
    """Return weights in the pool's order, which need not sum to 1."""
    from tasks.training.measure import bits_per_byte

    # A domain without a weight may have nothing to measure.
    limits = [config.tokens_per_domain if weight else 0 for weight in boundary.weights]
    found = bits_per_byte(boundary.model, boundary.pool, "train", limits)
    powers = {name: config.power * log(bits) for name, bits in found.items()}
    # Over the largest: a power of any size gives numbers.
    most = max(powers.values())
    pairs = zip(boundary.pool.names, boundary.weights, strict=True)
    return tuple(weight * exp(powers[name] - most) if weight else 0.0 for name, weight in pairs)
