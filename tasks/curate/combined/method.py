"""What kinds of combined scores share.

Axes: N documents, all of the curation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.core.params import Params

Floats = NDArray[np.float64]
# Sums of scores by larger weights could be more than a number holds, and then a document would have no score.
_MOST = 1e100
Weight = Annotated[float, Field(allow_inf_nan=False)]


class CombinedParams(Params):
    """`name` is the column that comes of it; `weights` says how much each score or statistic counts, below 0 against it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    weights: Annotated[dict[str, Weight], Field(min_length=1)]

    @model_validator(mode="after")
    def _weigh_something(self) -> Self:
        largest = max(map(abs, self.weights.values()))
        if not 0 < largest <= _MOST:
            raise ValueError(
                f"the largest of the weights of {self.name} is {largest:g}: it must be above 0, to {_MOST:g}."
            )
        return self


@dataclass(frozen=True)
class CombinedMethod:
    """`combine(config, scores, tokens_N)` gives one number per document, NaN where a score is missing.

    It follows from the scores of all documents, whatever their order. `by_tokens(config)`: whether it looks at tokens.
    """

    combine: Callable[[Any, Mapping[str, Floats], NDArray[np.int64]], Floats]
    by_tokens: Callable[[Any], bool]
