"""Choosing among predictors by cross-validation: no single one is best on every target, so none is hard-coded.

Axes: R runs, D domains, O outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.stats import rankdata

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.mixture.predictors.gp_sqrt import GpSqrt, fit_gp_sqrt
from tasks.mixture.predictors.law_gp import LawGp, fit_law_gp
from tasks.mixture.predictors.predictor import Measured, Predictor
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt, fit_ridge_sqrt

Array = npt.NDArray[np.float64]
PredictorParams = Annotated[GpSqrt | LawGp | RidgeSqrt, Field(discriminator="kind")]

MIN_RUNS = 4
# 90 % of a normal distribution lies within so many standard deviations.
_NINETY = 1.6448536269514722


class Selection(Params):
    """The predictors to choose from, and the folds of the cross-validation that chooses."""

    zoo: tuple[PredictorParams, ...] = Field(default=(LawGp(), GpSqrt(), RidgeSqrt()), min_length=1)
    num_folds: int = Field(default=6, ge=2)


@dataclass(frozen=True)
class Score:
    """How a predictor did on runs it had not seen: errors in bits per byte, over the objective.

    `predicted_R` and `sd_R` are those held-out predictions; `sd_R` includes noise but no inflation.
    """

    kind: str
    rmse: float
    spearman: float
    coverage: float
    predicted_R: Array
    sd_R: Array

    def inflation(self, objective_R: Array) -> float:
        """Return the factor that makes the held-out errors as large as was said; never below 1."""
        return max(1.0, float(np.sqrt((((objective_R - self.predicted_R) / self.sd_R) ** 2).mean())))


@dataclass(frozen=True)
class Choice:
    """The chosen predictor, fitted on all runs, with the scores of all that were tried."""

    predictor: Predictor
    scores: tuple[Score, ...]

    @property
    def score(self) -> Score:
        """The score of the chosen one."""
        return next(score for score in self.scores if score.kind == self.predictor.kind)


def fit(params: PredictorParams, measured: Measured) -> Predictor:
    """Fit one predictor."""
    match params:
        case GpSqrt():
            return fit_gp_sqrt(params, measured)
        case LawGp():
            return fit_law_gp(params, measured)
        case RidgeSqrt():
            return fit_ridge_sqrt(params, measured)
        case _:
            assert_never(params)


def choose(selection: Selection, measured: Measured) -> Choice:
    """Fit the predictor with the smallest held-out error; its intervals are widened to what was seen there.

    Raises:
        EvidenceError: there are too few runs to fit anything, or nothing was predicted in finite numbers.
    """
    runs = len(measured.weights_RD)
    if runs < MIN_RUNS:
        raise EvidenceError(
            f"{runs} measured mixtures are too few to predict others; at least {MIN_RUNS} are needed. "
            "Raise search.num_initial."
        )
    scores = tuple(cross_validate(params, measured, selection.num_folds) for params in selection.zoo)
    best = min(range(len(scores)), key=lambda index: scores[index].rmse)
    if not scores[best].rmse < np.inf:
        raise EvidenceError(f"none of {len(scores)} predictors gave finite predictions for {runs} runs. Measure more.")
    predictor = fit(selection.zoo[best], measured)
    return Choice(replace(predictor, inflation=scores[best].inflation(measured.objective_R)), scores)


def cross_validate(params: PredictorParams, measured: Measured, num_folds: int) -> Score:
    """Return how one predictor does on the runs left out, fold by fold (every `num_folds`-th run)."""
    runs = len(measured.weights_RD)
    fold_R = np.arange(runs) % min(num_folds, runs)
    predicted_R, sd_R = np.empty(runs), np.empty(runs)
    for fold in range(fold_R.max() + 1):
        out = np.flatnonzero(fold_R == fold)
        predictor = fit(params, measured.only(np.flatnonzero(fold_R != fold)))
        predicted_R[out] = predictor.mean(measured.weights_RD[out])
        sd_R[out] = np.hypot(predictor.sd(measured.weights_RD[out]), predictor.noise_sd)
    error_R = measured.objective_R - predicted_R
    rmse = float(np.sqrt((error_R**2).mean()))
    coverage = float((np.abs(error_R) <= _NINETY * sd_R).mean())
    rank = spearman(predicted_R, measured.objective_R)
    return Score(params.kind, rmse if np.isfinite(rmse) else np.inf, rank, coverage, predicted_R, sd_R)


def spearman(left: Sequence[float] | Array, right: Sequence[float] | Array) -> float:
    """Return the rank correlation; 0 where one side does not vary.

    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    left_R, right_R = rankdata(left), rankdata(right)
    left_R, right_R = left_R - left_R.mean(), right_R - right_R.mean()
    norm = float(np.sqrt((left_R @ left_R) * (right_R @ right_R)))
    return float(left_R @ right_R) / norm if norm > 0 else 0.0
