"""What models are like: how flat their loss is."""

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from tasks.core.published import Model, Published


class FlatModel(Model):
    """How flat one model's loss is around its weights.

    `loss` is in nats per token; `trace` that of the Hessian of this loss, the mean over probes with its `standard_error`.
    `critical_sharpness` is 2 / eta, where eta is the smallest step against the gradient that raises the loss.
    """

    model: str
    parameters: PositiveInt
    loss: float
    trace: float
    standard_error: NonNegativeFloat
    critical_sharpness: PositiveFloat


class Flatness(Published):
    """The flatness of every model, on the same `windows` of held-out text and with the same probes."""

    FILE: ClassVar[str] = "flatness.json"

    format: Literal[1] = 1
    windows: PositiveInt
    num_probes: PositiveInt
    seed: NonNegativeInt
    models: tuple[FlatModel, ...]
