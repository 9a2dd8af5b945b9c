"""All stage hooks: the union of their configs, and the one place that chooses the function of a kind."""

from collections.abc import Iterator, Sequence
from typing import Annotated, assert_never

from pydantic import Field

from tasks.training.hooks import by_loss, ddk
from tasks.training.hooks.boundary import Boundary, Weights
from tasks.training.hooks.by_loss import ByLoss
from tasks.training.hooks.ddk import Ddk

HookConfig = Annotated[ByLoss | Ddk, Field(discriminator="kind")]


def missing_teachers(hooks: Sequence[HookConfig | None]) -> Iterator[str]:
    """Yield which of the hooks of a recipe's stages needs the teachers that a run has not."""
    for number, hook in enumerate(hooks):
        if isinstance(hook, Ddk):
            yield (
                f"stages.{number}: its hook {hook.kind} compares the model with the teachers of its run, and there are "
                "none. Name some in train.teachers, with a training.distillation, or take another hook."
            )


def decide(config: HookConfig, boundary: Boundary) -> Weights:
    """Return the weights that a hook wants for the stage that begins, which need not sum to 1."""
    match config:
        case ByLoss():
            return by_loss.decide(config, boundary)
        case Ddk():
            return ddk.decide(config, boundary)
        case _:
            assert_never(config)
