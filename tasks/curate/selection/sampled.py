"""Documents drawn without replacement, higher scores more often: QuRating's sampling (arXiv 2402.09739, section 3.3)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tasks.core.rng import seed_of
from tasks.curate.selection.method import (
    HIGHEST,
    NOTHING,
    Floats,
    Interval,
    Ints,
    SelectionMethod,
    SelectionParams,
    Values,
    highest,
)

_ROUND = np.uint64(0xD6E8FEB86659FD93)


class Sampled(SelectionParams):
    """Keep a `share` of the tokens, drawn with probabilities in proportion to exp(z / temperature).

    z is the score standardised over the group. The noise of a document follows from `seed` and its id alone.
    Temperatures near 0 take the highest scores, large ones draw at random.
    """

    kind: Literal["sampled"] = "sampled"
    share: Annotated[float, Field(gt=0, le=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    seed: Annotated[int, Field(ge=0)] = 0


def gumbel(seed: int, id_N: Ints) -> Floats:
    """Return standard Gumbel noise of documents, float64 [N], from the seed and the numbers of their ids."""
    mixed = id_N.astype(np.uint64) ^ np.uint64(seed_of(seed, "selection") & (2**64 - 1))
    for _ in range(3):
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _ROUND
    # 53 bits, in the middle of their interval: neither 0 nor 1.
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    noise: Floats = -np.log(-np.log(uniform))
    return noise


def _interval(config: Sampled, values: Values) -> Interval:
    scores = values.score_N[~np.isnan(values.score_N)]
    if not len(scores):
        return NOTHING
    standard = Interval(NOTHING.low, HIGHEST, float(np.mean(scores)), float(np.std(scores)) or 1.0)
    lowest = highest(_key(config, values, standard), values, config.share)
    return NOTHING if lowest is None else Interval(lowest, HIGHEST, standard.mean, standard.sd)


def _key(config: Sampled, values: Values, interval: Interval) -> Floats:
    return (values.score_N - interval.mean) / interval.sd / config.temperature + gumbel(config.seed, values.id_N)


def _words(config: Sampled) -> str:
    return f"{config.share:.0%} of the tokens drawn by {config.score} at temperature {config.temperature:g}"


METHOD = SelectionMethod(_interval, _key, _words)
