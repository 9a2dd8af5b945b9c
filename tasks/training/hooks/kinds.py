"""All stage hooks: the union of their configs, and the one place that chooses the function of a kind."""

from typing import assert_never

from tasks.training.hooks import by_loss
from tasks.training.hooks.boundary import Boundary, Weights
from tasks.training.hooks.by_loss import ByLoss

HookConfig = ByLoss


def decide(config: HookConfig, boundary: Boundary) -> Weights:
    """Return the weights that a hook wants for the stage that begins, which need not sum to 1."""
    match config:
        case ByLoss():
            return by_loss.decide(config, boundary)
        case _:
            assert_never(config)
