"""The stage's weights in the opposite order."""

from typing import Literal

from tasks.core.params import Params
from tasks.training.hooks.boundary import Boundary, Weights


class Backwards(Params):
    """Give the first domain the weight of the last, and so on."""

    kind: Literal["backwards"]


def decide(boundary: Boundary) -> Weights:
    """Return weights in the pool's order."""
    return boundary.weights[::-1]
