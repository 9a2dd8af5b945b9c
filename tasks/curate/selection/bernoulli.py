"""Documents that are each kept with a probability of its own: what a score is, such as MetaCLIP's balance of entries."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from tasks.core.errors import DataError
from tasks.curate.selection.method import Bools, Chosen, Groups, Seed, SelectionMethod, SelectionParams, Values, uniform

# Of a score with a larger share of documents below 0 or above 1 something else is meant.
_MOST_OUTSIDE = 0.5


class Bernoulli(SelectionParams):
    """Keep each document with the probability that its score is; from 1 on always, up to 0 never.

    Whether a document is kept follows from its score, `seed` and its id alone.
    """

    kind: Literal["bernoulli"] = "bernoulli"
    seed: Seed = 0


def _choose(config: Bernoulli, groups: Groups) -> Mapping[str, Chosen]:
    scores = [values.score_N[~np.isnan(values.score_N)] for values in groups.values()]
    every = np.concatenate([*scores, np.zeros(0)])
    outside = int(((every < 0) | (every > 1)).sum())
    if outside > _MOST_OUTSIDE * len(every):
        raise DataError(
            f"bernoulli by {config.score}: {outside:,} of {len(every):,} scores are no probabilities; they are from "
            f"{every.min():.4g} to {every.max():.4g}. Select by quantiles or a threshold of it, or draw with `sampled`."
        )
    return {
        name: Chosen(_kept(config, values), outside=int(((values.score_N < 0) | (values.score_N > 1)).sum()))
        for name, values in groups.items()
    }


def _kept(config: Bernoulli, values: Values) -> Bools:
    kept_N: Bools = uniform(config.seed, values.id_N) < values.score_N
    return kept_N


def _words(config: Bernoulli) -> str:
    return f"each with probability {config.score}"


METHOD = SelectionMethod(_choose, _words)
