"""Documents whose score is within limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.curate.selection.method import (
    HIGHEST,
    LOWEST,
    Interval,
    Place,
    SelectionMethod,
    SelectionParams,
    Values,
    score_itself,
)

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


def _interval(config: Threshold, values: Values) -> Interval:
    low = LOWEST if config.at_least is None else Place(config.at_least, LOWEST.id)
    return Interval(low, HIGHEST if config.at_most is None else Place(config.at_most, HIGHEST.id))


def _words(config: Threshold) -> str:
    limits = {"at least": config.at_least, "at most": config.at_most}
    return f"{config.score} " + " and ".join(
        f"{words} {limit:g}" for words, limit in limits.items() if limit is not None
    )


METHOD = SelectionMethod(_interval, score_itself, _words)
