"""A weighted sum of standardised scores."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.curate.combined.method import CombinedMethod, CombinedParams, Floats
from tasks.curate.selection.method import standard


class ZScores(CombinedParams):
    """The sum of weight x z; z is a score less its mean, over its standard deviation, of all documents that have it."""

    kind: Literal["z_scores"] = "z_scores"


def _combine(config: ZScores, scores: Mapping[str, Floats], tokens_N: NDArray[np.int64]) -> Floats:
    found = np.zeros(len(tokens_N))
    # In the order of names: that of a mapping is no part of what params are.
    for name, weight in sorted(config.weights.items()):
        found += weight * standard(scores[name])
    return found


METHOD = CombinedMethod(_combine, by_tokens=lambda config: False)
