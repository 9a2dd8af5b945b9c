"""Cross-validation: what each predictor says of runs that it has not seen, and how wrong that is.

Axes: R runs, M mixtures, O outputs, F folds, K predictors, E errors of a run (the objective's, then each output's).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.ranks import rank_correlation
from tasks.mixture.predictors.calibration import NINETY
from tasks.mixture.predictors.kinds import PredictorParams, fit
from tasks.mixture.predictors.predictor import Measured, Predictor

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How a predictor did on runs it had not seen: errors in the unit of the objective.

    `predicted_R` and `sd_R` are those held-out predictions; `sd_R` includes noise but no calibration, and `coverage` is of
    90 % intervals made of it. The shares of a stack never saw the runs it is scored on.
    """

    name: str
    rmse: float
    spearman: float
    coverage: float
    predicted_R: Array
    sd_R: Array


@dataclass(frozen=True)
class HeldOut:
    """Every run as each predictor saw it from the other folds, [R, K], and the fits of each fold, [F][K].

    `error_REK` are the errors of the objective and of each output's part of it.
    """

    fold_R: npt.NDArray[np.int64]
    fits_FK: tuple[tuple[Predictor, ...], ...]
    predicted_RK: Array
    sd_RK: Array
    error_REK: Array


def hold_out(
    zoo: Sequence[PredictorParams], num_folds: int, measured: Measured, fitted_K: Sequence[Predictor]
) -> HeldOut:
    """Fit every predictor without each fold (every F-th run), starting where its fit to all runs ended."""
    runs, outputs = measured.losses_RO.shape
    fold_R = np.arange(runs) % min(num_folds, runs)
    predicted_RK, sd_RK = np.empty((runs, len(zoo))), np.empty((runs, len(zoo)))
    # Where a predictor has a way of its own to the objective, its outputs are dear and prove nothing about it.
    with_outputs = outputs > 1 and all(fitted.objective is None for fitted in fitted_K)
    error_REK = np.empty((runs, 1 + outputs if with_outputs else 1, len(zoo)))
    fits: list[tuple[Predictor, ...]] = []
    for fold in range(fold_R.max() + 1):
        out, rest = np.flatnonzero(fold_R == fold), np.flatnonzero(fold_R != fold)
        part, seen = measured.only(out), measured.only(rest)
        fits.append(tuple(fit(params, seen, all_.start) for params, all_ in zip(zoo, fitted_K, strict=True)))
        for k, predictor in enumerate(fits[-1]):
            predicted_RK[out, k], sd_RK[out, k] = predicted(predictor, part.weights_RD)
            error_REK[out, 0, k] = predicted_RK[out, k] - part.objective_R
            if with_outputs:
                error_RO = predictor.outputs(part.weights_RD) - part.losses_RO
                error_REK[out, 1:, k] = error_RO * measured.objective_O
    return HeldOut(fold_R, tuple(fits), predicted_RK, sd_RK, error_REK)


def predicted(predictor: Predictor, weights_MD: Array) -> tuple[Array, Array]:
    """Return the objective of every mixture and its standard deviation with noise, [M] each."""
    return predictor.mean(weights_MD), predictor.measured_sd(weights_MD)


def score(name: str, objective_R: Array, predicted_R: Array, sd_R: Array) -> Score:
    """Return how held-out predictions did; an error that is not finite is infinite."""
    error_R = objective_R - predicted_R
    rmse = float(np.sqrt((error_R**2).mean()))
    coverage = float((np.abs(error_R) <= NINETY * sd_R).mean())
    rank = spearman(predicted_R, objective_R)
    return Score(name, rmse if np.isfinite(rmse) else np.inf, rank, coverage, predicted_R, sd_R)


def spearman(left: Sequence[float] | Array, right: Sequence[float] | Array) -> float:
    """Return the rank correlation; 0 where one side does not vary.

    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    return rank_correlation(left, right) or 0.0


def names(zoo: Sequence[PredictorParams]) -> tuple[str, ...]:
    """Return what each is called in a zoo: its kind, with a number where the kind comes again.

    >>> from tasks.mixture.predictors.trees import Lightgbm
    >>> names([Lightgbm(), Lightgbm(settings="climb")])
    ('lightgbm', 'lightgbm 2')
    """
    kinds = [params.kind for params in zoo]
    counts = [kinds[: index + 1].count(kind) for index, kind in enumerate(kinds)]
    return tuple(kind if count == 1 else f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True))
