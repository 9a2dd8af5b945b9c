"""Documents drawn without replacement, higher scores more often: QuRating's sampling (arXiv 2402.09739, section 3.3)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tasks.curate.selection.method import (
    Bools,
    Floats,
    Ints,
    Seed,
    SelectionMethod,
    SelectionParams,
    Values,
    each,
    highest,
    standard,
    uniform,
)


class Sampled(SelectionParams):
    """Keep a `share` of the tokens, drawn with probabilities in proportion to exp(z / temperature).

    z is the score standardised over the group. The noise of a document follows from `seed` and its id alone.
    Temperatures near 0 take the highest scores, large ones draw at random.
    """

    kind: Literal["sampled"] = "sampled"
    share: Annotated[float, Field(gt=0, le=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    seed: Seed = 0


def gumbel(seed: int, id_N: Ints) -> Floats:
    """Return standard Gumbel noise of documents, float64 [N], from the seed and the numbers of their ids."""
    noise: Floats = -np.log(-np.log(uniform(seed, id_N)))
    return noise


def _kept(config: Sampled, values: Values) -> Bools:
    key_N = standard(values.score_N) / config.temperature + gumbel(config.seed, values.id_N)
    return highest(key_N, values, config.share * int(values.tokens_N.sum()))


def _words(config: Sampled) -> str:
    return f"{config.share:.0%} of the tokens drawn by {config.score} at temperature {config.temperature:g}"


METHOD = SelectionMethod(each(_kept), _words)
