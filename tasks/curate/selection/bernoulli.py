"""Documents that are each kept with a probability of its own: what a score is, such as MetaCLIP's balance of entries."""

from typing import Literal

from tasks.curate.selection.method import Bools, Seed, SelectionMethod, SelectionParams, Values, each, uniform


class Bernoulli(SelectionParams):
    """Keep each document with the probability that its score is; from 1 on always, up to 0 never.

    Whether a document is kept follows from its score, `seed` and its id alone.
    """

    kind: Literal["bernoulli"] = "bernoulli"
    seed: Seed = 0


def _kept(config: Bernoulli, values: Values) -> Bools:
    kept_N: Bools = uniform(config.seed, values.id_N) < values.score_N
    return kept_N


def _words(config: Bernoulli) -> str:
    return f"each with probability {config.score}"


METHOD = SelectionMethod(each(_kept), _words)
