"""The kinds of combined scores, and the choice of one. A kind is a module with a frozen config and a `METHOD`."""

from typing import Annotated, assert_never

from pydantic import Field

from tasks.curate.combined import mean_ranks, z_scores
from tasks.curate.combined.mean_ranks import MeanRanks
from tasks.curate.combined.method import CombinedMethod
from tasks.curate.combined.z_scores import ZScores

Combined = Annotated[MeanRanks | ZScores, Field(discriminator="kind")]


def method(config: Combined) -> CombinedMethod:
    """Return what a combined score is."""
    match config:
        case MeanRanks():
            return mean_ranks.METHOD
        case ZScores():
            return z_scores.METHOD
        case _ as other:
            assert_never(other)
