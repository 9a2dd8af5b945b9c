"""Weights instead of drops: how often a document is there in training, by the quantile of its score."""

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.curate.selection.method import Chosen, Groups, SelectionMethod, SelectionParams
from tasks.curate.selection.quantiles import quantiles_of

Step = tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class Weighted(SelectionParams):
    """Keep all documents, and multiply the weight of each by what it has from the quantile on that its score lies at.

    `steps` are pairs of (quantile by tokens, weight), the first from 0 on. A document without a score weighs as the lowest.
    """

    kind: Literal["weighted"] = "weighted"
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _quantiles_ascend_from_zero(self) -> Self:
        quantiles = [quantile for quantile, _ in self.steps]
        if quantiles[0] != 0 or any(one >= other for one, other in pairwise(quantiles)):
            raise ValueError(f"the quantiles of steps are {quantiles}: they must begin with 0 and ascend.")
        return self


def _choose(config: Weighted, groups: Groups) -> dict[str, Chosen]:
    starts, weights = (np.array(column) for column in zip(*config.steps, strict=True))
    found = {}
    for name, values in groups.items():
        middle_N = np.nan_to_num(quantiles_of(values), nan=0.0)
        weight_N = weights[np.searchsorted(starts, middle_N, "right") - 1]
        found[name] = Chosen(np.ones(len(weight_N), np.bool_), weight_N)
    return found


def _words(config: Weighted) -> str:
    steps = ", ".join(f"{weight:g} from quantile {quantile:g}" for quantile, weight in config.steps)
    return f"all, with weights by {config.score}: {steps}"


METHOD = SelectionMethod(_choose, _words)
