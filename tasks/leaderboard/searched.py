"""A selector whose weights of scores are searched: a proxy is a model on what some weights select, and its random twin."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from tasks.core.digest import digest_json
from tasks.curate.combined.z_scores import ZScores
from tasks.leaderboard.config import LeaderboardParams, Selector
from tasks.leaderboard.entrants import entrants
from tasks.leaderboard.models import Entered
from tasks.leaderboard.published import Objective, ProxyWeights, SearchedWeights
from tasks.leaderboard.rank import Measured
from tasks.leaderboard.weights import Weights, WeightSearch, searched
from tasks.runtime.context import Workshop
from tasks.tokenize.published import Split

# What a search looks at has no part in ranking: other documents, and seeds far from those of the leaderboard.
_SPLIT: Split = "search"
_SEED_DISTANCE = 10_000
_LABEL = "select: proxies of weights"
# What is told within a proxy.
_VOICES = ("select", "curate", "cluster", "tokenize", "train", "arms")


def with_searched(
    params: LeaderboardParams,
    objectives: Mapping[Objective, tuple[str, ...]],
    base: Path,
    inputs: Mapping[str, Path],
    workshop: Workshop,
) -> tuple[LeaderboardParams, SearchedWeights | None]:
    """Return the params with the searched selector among the others, and what was searched; None where nothing is.

    Raises:
        ConfigError: there is no such score, or the runs are too few for the strategy.
    """
    if (search := params.search) is None:
        return params, None
    keep = search.keep or params.keep[0]

    begun = count()

    def measure(weights: Weights) -> float:
        workshop.observer.progress(_LABEL, next(begun), search.num_runs)
        inside = workshop.inside(_VOICES)
        return -_gain(_proxies(params, search, keep, weights), objectives, base, inputs, inside)

    found = searched(search, measure)
    workshop.observer.progress(_LABEL, len(found.runs), search.num_runs)
    told = SearchedWeights(
        selector=search.name,
        keep=keep,
        weights=found.weights,
        proxies=tuple(ProxyWeights(weights=one.weights, gain=-one.loss) for one in found.runs),
    )
    return _with(params, search.name, found.weights), told


def _proxies(params: LeaderboardParams, search: WeightSearch, keep: float, weights: Weights) -> LeaderboardParams:
    """Return a leaderboard of one selection, as small as a proxy is."""
    tokens = search.num_tokens or params.training.num_tokens
    nothing = {"selectors": (), "tasks": (), "score_sets": (), "harness_results": (), "budgets": (), "keep": (keep,)}
    training = params.training.model_copy(update={"num_tokens": tokens})
    seed = params.seed + _SEED_DISTANCE + search.seed
    alone = params.model_copy(update={**nothing, "training": training, "seed": seed, "num_seeds": 1})
    return _with(alone, f"{search.name}_{digest_json(dict(weights))[:12]}", weights)


def _with(params: LeaderboardParams, name: str, weights: Weights) -> LeaderboardParams:
    """Return the params with one selector more: the documents with the highest weighted sum of standardised scores."""
    selector = Selector(name=name, select=({"kind": "quantiles", "score": name, "low": "1 - keep"},))
    combined = (*params.combined, ZScores(name=name, weights=dict(weights)))
    return params.model_copy(update={"selectors": (*params.selectors, selector), "combined": combined})


def _gain(
    params: LeaderboardParams,
    objectives: Mapping[Objective, tuple[str, ...]],
    base: Path,
    inputs: Mapping[str, Path],
    workshop: Workshop,
) -> float:
    """Return how much better a model on the one selection is than one on as many tokens drawn at random."""
    field = [one for one in entrants(params) if one.role != "null"]
    models = Entered.of(params, field, [params.seed], base, inputs, workshop).measure(workshop, split=_SPLIT)
    measured = Measured(models.runs, models.directions, objectives)
    (own,), (twin,) = (measured.values(name, "target") for name in (field[1].name, field[0].name))
    return twin - own
