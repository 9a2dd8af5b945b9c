"""What a search published, put together for its pictures, its tables and the report: every run beside its prediction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import DataError
from tasks.mixture.published import Recipe, Weights
from tasks.mixture.published_candidates import Candidates
from tasks.mixture.published_predictors import PredictorScore
from tasks.mixture.runs import JUDGING, RUNS_FILE, ProxyRun, read_runs

# Kinds of runs that only tell the noise or judge the pick; the others are compared with each other.
_NOT_COMPARED = ("repeat", *JUDGING)


@dataclass(frozen=True)
class PredictedRun(ProxyRun):
    """A run, and what the predictor says of it when it has seen all others but not this one.

    `predicted` and its standard deviation are None for a run that no predictor was fitted to (another seed).
    """

    predicted: float | None = None
    predicted_sd: float | None = None


@dataclass(frozen=True)
class SearchEvidence:
    """The runs of a search in the order they were made, and all that it published about them."""

    runs: tuple[PredictedRun, ...]
    candidates: Candidates

    @property
    def natural(self) -> PredictedRun:
        """The search's own run of the natural mixture; runs taken from an earlier search stand before it."""
        return next((run for run in reversed(self.runs) if run.kind == "natural"), self.runs[0])

    @property
    def shown(self) -> tuple[PredictedRun, ...]:
        """The runs of the size that the search was made with."""
        return tuple(run for run in self.runs if run.fidelity == self.natural.fidelity)

    @property
    def compared(self) -> tuple[PredictedRun, ...]:
        """The runs among which the best is looked for: of one size and one seed, so that differences are paired."""
        seed = self.natural.seed
        return tuple(run for run in self.shown if run.seed == seed and run.kind not in _NOT_COMPARED)

    @property
    def predictors(self) -> tuple[tuple[PredictorScore, float | None], ...]:
        """The predictors that were tried, each with its share where the chosen one is a stack, else None."""
        members = self.candidates.predictor.members
        shares: dict[str, float] = defaultdict(float)
        for member in members:
            shares[member.name] += member.share
        return tuple(
            (score, shares[score.name] if len(members) > 1 and score.name in shares else None)
            for score in self.candidates.tried
        )

    @property
    def proxy_epochs(self) -> list[tuple[float, float]]:
        """The lowest and highest number of epochs per domain over the runs that are shown."""
        supply = self.candidates.supply.proxy
        columns = zip(*(epochs(run.tokens, run.weights, supply) for run in self.shown), strict=True)
        return [(min(column), max(column)) for column in columns]


def read_evidence(search: Path) -> SearchEvidence:
    """Return the runs in the order they were made, and how the mixture was chosen.

    Raises:
        DataError: a file is missing or is not as agreed, or it is about other domains than the runs.
    """
    table, candidates = read_runs(search / RUNS_FILE), Candidates.read(search)
    for name, supply in (("target", candidates.supply.target), ("proxy", candidates.supply.proxy)):
        if len(supply) != len(table.domains):
            raise DataError(
                f"{search / Candidates.FILE}: supply.{name} has {len(supply)} values, the runs have {len(table.domains)} "
                "domains. Run search again."
            )
    predictions = {each.run: each for each in candidates.held_out}
    runs = []
    for row in table.rows:
        found = predictions.get(row.run)
        predicted, sd = (None, None) if found is None else (found.predicted, found.sd)
        runs.append(PredictedRun(**vars(row), predicted=predicted, predicted_sd=sd))
    return SearchEvidence(tuple(runs), candidates)


def weight_caps(recipe: Recipe, target_tokens: Sequence[int]) -> Weights:
    """Return the largest weight per domain that the cap on repetition leaves in the recipe's run."""
    return tuple(min(1.0, recipe.max_epochs * tokens / recipe.tokens) for tokens in target_tokens)


def expected_epochs(recipe: Recipe, target_tokens: Sequence[int]) -> dict[str, tuple[float, ...]]:
    """Return how often each mixture goes through each domain in the run of the recipe."""
    return {name: tuple(epochs(recipe.tokens, recipe.weights(name), target_tokens)) for name in recipe.mixtures}


def epochs(tokens: int, weights: Sequence[float], supply: Sequence[int]) -> list[float]:
    """Return how often a run of so many tokens goes through each domain."""
    # A domain that is only measured on has no weight, and may have no text to train on.
    return [weight * tokens / own if weight else 0.0 for weight, own in zip(weights, supply, strict=True)]
