"""Params of the experiments that are planted into a run."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, PositiveInt

from tasks.core.params import Params

Share = Annotated[float, Field(ge=0, le=1)]


class PlantedExperiment(Params):
    """A question about data: what becomes of a text's likelihood if the run trains on it so often.

    A hash of the run's seed, the experiment and the item's id says which items are treated, and how often each of these is
    planted; the others are the control, of which the run sees nothing.
    """

    name: str = Field(max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    file: str = Field(min_length=1, description="one JSON object a line: id, text, and perhaps context and probe")
    exposures: tuple[PositiveInt, ...] = Field(
        default=(4,), min_length=1, description="how often a treated item is planted; each level is as likely"
    )
    treated_share: float = Field(default=0.5, gt=0, lt=1, description="of the items; the others are the control")
    window: tuple[Share, Share] = Field(
        default=(0.0, 1.0), description="shares of the run between which items are planted, evenly spread"
    )

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if list(self.exposures) != sorted({*self.exposures}):
            yield f"exposures are {list(self.exposures)}; write each level once, ascending"
        if not self.window[0] < self.window[1]:
            yield f"window is {list(self.window)}; let it begin before it ends"
