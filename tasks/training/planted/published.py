"""What was planted into a run: every item with its treatment, and where in the run each of its texts stands."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published


class PlantedItem(Model):
    """An item of an experiment. `exposures` is how often it was planted; 0 = it is of the control.

    Its `tokens` (ids, with blanks between) stand between two ends of a document in each of the `samples` of the run, from
    the place `offsets` on, where 0 is the first token of the sample's row.
    """

    id: str
    context: str
    probe: str
    exposures: NonNegativeInt
    tokens: str
    samples: tuple[NonNegativeInt, ...] = ()
    offsets: tuple[PositiveInt, ...] = ()


class PlantedPart(Model):
    """One experiment: its items, in the order of their ids."""

    name: str
    items: tuple[PlantedItem, ...] = Field(min_length=1)


class PlantedPlan(Published):
    """The experiments of one run. Runs with the same seed have the same plan."""

    FILE: ClassVar[str] = "planted.json"

    format: Literal[1] = 1
    seed: NonNegativeInt
    experiments: tuple[PlantedPart, ...] = Field(min_length=1)
