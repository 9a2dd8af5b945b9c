"""Documents of a range of quantiles, by tokens: the highest tenth, the middle third."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.curate.selection.method import (
    Bools,
    Floats,
    SelectionMethod,
    SelectionParams,
    Values,
    ascending,
    each,
)

Quantile = Annotated[float, Field(ge=0, le=1)]


class Quantiles(SelectionParams):
    """Keep the documents from quantile `low` to quantile `high` of the score, counted in tokens.

    A keep rate of 10 % of the tokens with the highest scores is `low: 0.9`. A document belongs where its middle lies:
    neighbouring ranges share no document and leave none out.
    """

    kind: Literal["quantiles"] = "quantiles"
    low: Quantile = 0.0
    high: Quantile = 1.0

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}: there is nothing between them.")
        return self


def quantiles_of(values: Values) -> Floats:
    """Return at which share of all tokens the middle of each document lies, lowest score first; NaN without a score."""
    order = ascending(values.score_N, values.id_N)
    tokens = values.tokens_N[order].astype(np.float64)
    found = np.full(len(values.score_N), np.nan)
    found[order] = (np.cumsum(tokens) - tokens / 2) / max(1.0, float(tokens.sum()))
    return found


def _kept(config: Quantiles, values: Values) -> Bools:
    middle_N = quantiles_of(values)
    # The last range has the last document, even if it has all tokens.
    kept_N: Bools = (middle_N >= config.low) & ((middle_N < config.high) | ((config.high == 1) & ~np.isnan(middle_N)))
    return kept_N


def _words(config: Quantiles) -> str:
    return f"quantiles {config.low:g} to {config.high:g} of {config.score}, by tokens"


METHOD = SelectionMethod(each(_kept), _words)
