"""Meta-rater: the weights of scores searched as mixtures are (Zhuang et al. 2025, arXiv 2504.14194).

A selection keeps the documents with the highest weighted sum of standardised scores; a proxy trained on what weights select
measures them, a predictor of the search of mixtures generalises, a strategy proposes the next. The space is the simplex over
scores; with signs, that over every score and its negative.

Axes: D weights of the search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.core.params import Params
from tasks.mixture.decide import DecisionParams
from tasks.mixture.predictors.choose import Selection
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.strategies.default import Default
from tasks.mixture.strategies.kinds import StrategyParams, method
from tasks.mixture.trajectory import trajectory

Array = npt.NDArray[np.float64]
Weights = Mapping[str, float]
# Nothing runs out: a score can have all of the weight.
_ENOUGH = 10**9


class WeightSearch(Params):
    """A selector whose weights of `scores` are searched, at one keep rate and on the search split's loss of the target.

    `name` is the selector's, and the combined score's. `keep`: null = the first rate of the leaderboard. `num_tokens` of a
    proxy: null = as many as all models have.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)] = "meta_rater"
    scores: tuple[str, ...] = Field(min_length=2)
    signed: bool = Field(default=False, description="a score may count against a document")
    num_runs: PositiveInt = 24
    num_tokens: PositiveInt | None = None
    keep: Annotated[float, Field(gt=0, lt=1)] | None = None
    strategy: StrategyParams = Default()
    selection: Selection = Selection()
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class MeasuredWeights:
    """A proxy: the weights that it selected by, and its loss."""

    weights: Weights
    loss: float


@dataclass(frozen=True)
class FoundWeights:
    """What a search ships, and all that it measured."""

    weights: Weights
    runs: tuple[MeasuredWeights, ...]


@dataclass(frozen=True)
class _Settings:
    """What the search of mixtures is told: equal weights are no better known than others."""

    selection: Selection
    num_noise_seeds: int = 0
    kl_to_natural: float | None = 0.0


def searched(params: WeightSearch, measure: Callable[[Weights], float]) -> FoundWeights:
    """Return the weights that the strategy ships; `measure` gives the loss of a proxy that is trained on what they select.

    Raises:
        ConfigError: the runs are too few for the strategy.
    """
    problem = problem_of(params)
    runs: list[MeasuredWeights] = []

    def losses(weights_D: Array, seed: int) -> Array:
        weights = by_score(params, weights_D)
        runs.append(MeasuredWeights(weights, measure(weights)))
        return np.array([runs[-1].loss])

    settings = _Settings(params.selection)
    *_, last = trajectory(params.strategy, settings, problem, losses, params.num_runs, params.seed)
    found = method(params.strategy).finish(params.strategy, DecisionParams(), last.problem, last.evidence, params.seed)
    return FoundWeights(by_score(params, np.array(found.chosen.weights)), tuple(runs))


def problem_of(params: WeightSearch) -> Problem:
    """Return what is searched: a weight for every score, with signs one for its negative too."""
    names = [*params.scores, *(f"-{name}" for name in params.scores if params.signed)]
    domains = tuple(SearchedDomain(name, _ENOUGH, _ENOUGH, _ENOUGH, _ENOUGH) for name in names)
    return Problem(domains, (1.0,), target_samples=1, proxy_samples=1, max_epochs=1.0, sets=("target",))


def by_score(params: WeightSearch, weights_D: Array) -> dict[str, float]:
    """Return the weight of each score: that for it less that against it.

    >>> by_score(WeightSearch(scores=("a", "b"), signed=True), np.array([0.5, 0.0, 0.1, 0.4]))
    {'a': 0.4, 'b': -0.4}
    """
    number = len(params.scores)
    own_D = weights_D[:number] - (weights_D[number:] if params.signed else 0.0)
    return dict(zip(params.scores, own_D.round(12).tolist(), strict=True))
