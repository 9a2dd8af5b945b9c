"""What kinds of combined scores share.

Axes: N documents, all of the curation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.params import Params

Floats = NDArray[np.float64]
Weight = Annotated[float, Field(allow_inf_nan=False)]


class CombinedParams(Params):
    """`name` is the column that comes of it; `weights` says how much each score or statistic counts, below 0 against it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    weights: Annotated[dict[str, Weight], Field(min_length=1)]


@dataclass(frozen=True)
class CombinedMethod:
    """`combine(config, scores, tokens_N)` gives one number per document, NaN where a score is missing.

    It follows from the scores of all documents, whatever their order. `by_tokens(config)`: whether it looks at tokens.
    """

    combine: Callable[[Any, Mapping[str, Floats], NDArray[np.int64]], Floats]
    by_tokens: Callable[[Any], bool]
