"""Params of what is asked about planted experiments."""

from pydantic import Field

from tasks.core.params import Params


class PlantedParams(Params):
    """What the experiments that were planted into the runs (train.planted) show."""

    power: float = Field(default=0.8, gt=0.5, lt=1, description="with which an effect of the detectable size is found")
