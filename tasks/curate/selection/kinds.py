"""The kinds of selection, and the choice of one. A kind is a module with a frozen config and a `METHOD`."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.curate.selection import quantiles, sampled, threshold
from tasks.curate.selection.method import SelectionMethod
from tasks.curate.selection.quantiles import Quantiles
from tasks.curate.selection.sampled import Sampled
from tasks.curate.selection.threshold import Threshold

Selection = Annotated[Threshold | Quantiles | Sampled, Field(discriminator="kind")]


def named(config: Selection) -> tuple[str, ...]:
    """Return the columns that a selection looks at."""
    return (config.score,)


def method(config: Selection) -> SelectionMethod:
    """Return what a kind of selection is."""
    match config:
        case Threshold():
            return threshold.METHOD
        case Quantiles():
            return quantiles.METHOD
        case Sampled():
            return sampled.METHOD
        case _ as other:
            assert_never(other)
