"""What planted experiments showed: effects with intervals, and the test of their interactions."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published

P = Field(ge=0, le=1)


class LevelEffect(Model):
    """Units, items in one seed each, that were planted so often, against those of the control."""

    exposures: PositiveInt
    units: PositiveInt
    bits_per_byte: float
    gain: float
    lower: float
    upper: float


class OverSeeds(Model):
    """The gain in each run by itself, in the order of the seeds, and Student's t interval of their mean."""

    gains: tuple[float, ...] = Field(min_length=2)
    mean: float
    lower: float
    upper: float


class ExperimentEffect(Model):
    """One experiment. A gain is how many bits per byte less a model needs for the probes of treated items.

    `gain` is that of the most exposures, where it grows with log2(1 + exposures), and its interval is over items: it is
    about these runs; that of another run is in the interval `over_seeds` (null where there is one). `detectable` is the
    smallest true gain that would be found. `adjusted_p` is Holm's over the experiments of a mixture, `found` whether it
    lets claim an effect.
    """

    experiment: str
    control_units: PositiveInt
    control_bits_per_byte: float
    levels: tuple[LevelEffect, ...] = Field(min_length=1)
    gain: float
    lower: float
    upper: float
    adjusted_p: float = P
    detectable: float
    found: bool
    over_seeds: OverSeeds | None
    statement: str


class Interaction(Model):
    """What the most exposures of one experiment change about the gain of the other's, for items that both treat."""

    experiments: tuple[str, str]
    change: float
    lower: float
    upper: float
    detectable: float


class InteractionTest(Model):
    """Whether experiments change each other's effects: `p` is the F test that none does, `quiet` that it shows nothing.

    Both are null where the items have no spread, so that nothing can be tested.
    """

    pairs: tuple[Interaction, ...] = Field(min_length=1)
    p: float | None = P
    quiet: bool | None
    statement: str


class ProbedItem(Model):
    """An item: bits per byte of its probe, and how often each experiment planted it, by seed."""

    id: str
    bits_per_byte: tuple[float, ...]
    exposures: Mapping[str, tuple[NonNegativeInt, ...]]


class PlantedMixture(Model):
    """The runs of one mixture. `interactions` is null where no two experiments have items in common."""

    mixture: str
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    experiments: tuple[ExperimentEffect, ...] = Field(min_length=1)
    interactions: InteractionTest | None
    items: tuple[ProbedItem, ...] = Field(min_length=1)


class PlantedEffects(Published):
    """What the planted experiments of all runs showed, mixture by mixture."""

    FILE: ClassVar[str] = "planted.json"

    format: Literal[1] = 1
    confidence: float = Field(gt=0, lt=1)
    power: float = Field(gt=0, lt=1)
    mixtures: tuple[PlantedMixture, ...] = Field(min_length=1)


class Changed(Model):
    """What the other experiments change about the gain of one, in the runs of a mixture; `adjusted_p` is Holm's."""

    mixture: str
    experiment: str
    change: float
    lower: float
    upper: float
    adjusted_p: float = P
    detectable: float


class Dependence(Published):
    """Whether experiments show the same among the others as alone."""

    FILE: ClassVar[str] = "dependence.json"

    format: Literal[1] = 1
    confidence: float = Field(gt=0, lt=1)
    power: float = Field(gt=0, lt=1)
    experiments: tuple[Changed, ...] = Field(min_length=1)
    statement: str
