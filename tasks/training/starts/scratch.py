"""New weights, drawn from the run's seed."""

from typing import Literal

from tasks.core.params import Params


class Scratch(Params):
    """Start from new weights."""

    kind: Literal["scratch"] = "scratch"
