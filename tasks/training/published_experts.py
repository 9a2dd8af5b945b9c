"""What others may read of how a run used its sparse experts."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published


class DomainUse(Model):
    """A layer's tokens of one domain: `shares` of their assignments by expert, and the share that was dropped.

    `first_to_second` and `second_to_third` are means over tokens of the largest probability over the second, and of the
    second over the third (null with two experts): near 1 a router does not decide.
    """

    tokens: PositiveInt
    shares: tuple[NonNegativeFloat, ...] = Field(min_length=2)
    drop_rate: float = Field(ge=0, le=1)
    first_to_second: NonNegativeFloat
    second_to_third: NonNegativeFloat | None


class LayerUse(Model):
    """A layer: its balance (1 = all experts alike) and drop rate, and what each domain's tokens did.

    `information` is what the expert of an assignment tells of its token's domain, in bits: 0 = nothing, the experts are no
    specialists of domains. `coefficient` is that of the balance loss behind the last step; null = there is none.
    `whole_drop_rate` is of the whole run.
    """

    balance: NonNegativeFloat
    information: NonNegativeFloat
    drop_rate: float = Field(ge=0, le=1)
    whole_drop_rate: float = Field(ge=0, le=1)
    coefficient: NonNegativeFloat | None
    domains: Mapping[str, DomainUse]


class ExpertsUsed(Published):
    """How a run used its experts in its last steps, `first_step` to `last_step`: a tenth of it, as its final loss."""

    FILE: ClassVar[str] = "experts.json"

    format: Literal[1] = 1
    num_experts: int = Field(ge=2)
    num_active: PositiveInt
    first_step: NonNegativeInt
    last_step: NonNegativeInt
    layers: tuple[LayerUse, ...] = Field(min_length=1)
