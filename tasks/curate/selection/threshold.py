"""Documents whose score is within limits."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.curate.selection.method import Bools, SelectionMethod, SelectionParams, Values, each

Limit = Annotated[float, Field(allow_inf_nan=False)]


class Threshold(SelectionParams):
    """Keep a score of `at_least` and `at_most`; a score equal to its limit passes."""

    kind: Literal["threshold"] = "threshold"
    at_least: Limit | None = None
    at_most: Limit | None = None

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a threshold needs at_least, at_most, or both.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least is {self.at_least:g} but at_most is {self.at_most:g}: no document can pass both."
            )
        return self


def _kept(config: Threshold, values: Values) -> Bools:
    low = -np.inf if config.at_least is None else config.at_least
    high = np.inf if config.at_most is None else config.at_most
    kept_N: Bools = (values.score_N >= low) & (values.score_N <= high)
    return kept_N


def _words(config: Threshold) -> str:
    limits = {"at least": config.at_least, "at most": config.at_most}
    return f"{config.score} " + " and ".join(
        f"{words} {limit:g}" for words, limit in limits.items() if limit is not None
    )


METHOD = SelectionMethod(each(_kept), _words)
