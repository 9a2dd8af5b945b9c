"""Choosing by cross-validation: no predictor is the best on every target, so none is hard-coded and several are stacked.

`choose` is for a new table and for one that has grown to twice its runs; `refit` is for every round between.

Axes: R runs, D domains, O outputs, K members of the zoo, F folds.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter

from tasks.core.errors import EvidenceError
from tasks.core.params import Params
from tasks.mixture.predictors.calibration import CONFIDENCE, NINETY, Calibration, calibrate
from tasks.mixture.predictors.gp_sqrt import GpSqrt
from tasks.mixture.predictors.held_out import HeldOut, Score, hold_out, names, predicted, score, spearman
from tasks.mixture.predictors.kinds import PredictorParams, fit
from tasks.mixture.predictors.law_gp import LawGp
from tasks.mixture.predictors.power_law import PowerLaw
from tasks.mixture.predictors.predictor import FitStart, Measured, Predictor
from tasks.mixture.predictors.ridge_sqrt import RidgeSqrt
from tasks.mixture.predictors.stack import shares, stacked
from tasks.mixture.published_predictors import CalibrationFactors, SelectedPredictor, StackMember

__all__ = [
    "CONFIDENCE",
    "MIN_RUNS",
    "NINETY",
    "Choice",
    "PredictorParams",
    "Score",
    "Selection",
    "choose",
    "fit",
    "refit",
    "spearman",
]

_PREDICTOR: TypeAdapter[PredictorParams] = TypeAdapter(PredictorParams)

Array = npt.NDArray[np.float64]

MIN_RUNS = 4


class Selection(Params):
    """The predictors to choose from, how their predictions are combined, and the folds of the cross-validation."""

    zoo: tuple[PredictorParams, ...] = Field(default=(LawGp(), GpSqrt(), PowerLaw(), RidgeSqrt()), min_length=1)
    combine: Literal["stack", "best"] = "stack"
    num_folds: int = Field(default=10, ge=2)


@dataclass(frozen=True)
class Choice:
    """The chosen predictor, fitted on all runs, and the scores of all that were tried (none after a refit)."""

    selected: SelectedPredictor
    predictor: Predictor
    scores: tuple[Score, ...]

    @property
    def score(self) -> Score:
        """The score of the chosen one."""
        return next(score for score in self.scores if score.name == self.predictor.name)


def choose(selection: Selection, measured: Measured) -> Choice:
    """Fit all, weigh them by their held-out errors, and widen or narrow the intervals to what was seen there.

    Raises:
        EvidenceError: there are too few runs to fit anything, or nothing was predicted in finite numbers.
    """
    runs = len(measured.weights_RD)
    if runs < MIN_RUNS:
        raise EvidenceError(
            f"{runs} measured mixtures are too few to predict others; at least {MIN_RUNS} are needed. "
            "Raise search.num_runs."
        )
    fitted_K = [fit(params, measured) for params in selection.zoo]
    held_out = hold_out(selection.zoo, selection.num_folds, measured, fitted_K)
    objective_R = measured.objective_R
    names_K = names(selection.zoo)
    tried = zip(names_K, held_out.predicted_RK.T, held_out.sd_RK.T, strict=True)
    scores = [score(name, objective_R, predicted_R, sd_R) for name, predicted_R, sd_R in tried]
    share_K = _shares(selection, held_out.error_REK, objective_R)
    if not share_K.sum() > 0:
        raise EvidenceError(f"none of {len(scores)} predictors gave finite predictions for {runs} runs. Measure more.")
    chosen = np.flatnonzero(share_K)
    if len(chosen) > 1:
        scores.append(score("stack", objective_R, *_cross_fitted(selection, measured, held_out)))
    best = scores[-1] if len(chosen) > 1 else scores[chosen[0]]
    members = tuple(
        StackMember(
            name=names_K[k],
            params=selection.zoo[k].model_dump(mode="json"),
            share=float(share_K[k]),
            hyperparameters=_hyperparameters(fitted_K[k]),
        )
        for k in chosen
    )
    calibration = calibrate(objective_R, best.predicted_R, best.sd_R)
    selected = SelectedPredictor(members=members, calibration=CalibrationFactors(**vars(calibration)), runs=runs)
    predictor = stacked([fitted_K[k] for k in chosen], share_K[chosen])
    return Choice(selected, replace(predictor, name=best.name, calibration=calibration), tuple(scores))


def refit(selected: SelectedPredictor, measured: Measured) -> Choice:
    """Fit the chosen members to more runs: the same shares and calibration, hyper-parameters searched from the last.

    Raises:
        EvidenceError: there are too few runs to fit anything.
    """
    if len(measured.weights_RD) < MIN_RUNS:
        raise EvidenceError(
            f"{len(measured.weights_RD)} measured mixtures are too few; at least {MIN_RUNS} are needed."
        )
    fitted_K = [fit(_PREDICTOR.validate_python(each.params), measured, _start_of(each)) for each in selected.members]
    members = tuple(
        member.model_copy(update={"hyperparameters": _hyperparameters(fitted)})
        for member, fitted in zip(selected.members, fitted_K, strict=True)
    )
    predictor = stacked(fitted_K, np.array([member.share for member in members]))
    calibration = Calibration(**selected.calibration.model_dump())
    name = members[0].name if len(members) == 1 else predictor.name
    return Choice(
        selected.model_copy(update={"members": members}),
        replace(predictor, name=name, calibration=calibration),
        (),
    )


def _cross_fitted(selection: Selection, measured: Measured, held_out: HeldOut) -> tuple[Array, Array]:
    """Return what stacks say of the runs that neither their members nor their shares have seen."""
    predicted_R, sd_R = np.full((2, len(held_out.fold_R)), np.nan)
    for fold, fits_K in enumerate(held_out.fits_FK):
        out, rest = held_out.fold_R == fold, held_out.fold_R != fold
        share_K = _shares(selection, held_out.error_REK[rest], measured.objective_R[rest])
        if len(chosen := np.flatnonzero(share_K)):
            predictor = stacked([fits_K[k] for k in chosen], share_K[chosen])
            predicted_R[out], sd_R[out] = predicted(predictor, measured.weights_RD[out])
    return predicted_R, sd_R


def _shares(selection: Selection, error_REK: Array, objective_R: Array) -> Array:
    if selection.combine == "stack":
        return shares(error_REK, objective_R)
    mse_K = (error_REK[:, 0] ** 2).mean(axis=0)
    share_K = np.zeros(len(mse_K))
    if np.isfinite(mse_K).any():
        share_K[int(np.nanargmin(mse_K))] = 1.0
    return share_K


def _hyperparameters(predictor: Predictor) -> tuple[float, ...] | None:
    return None if predictor.start.hyper_H is None else tuple(predictor.start.hyper_H.tolist())


def _start_of(member: StackMember) -> FitStart:
    """Return where to start the next fit of a member."""
    return FitStart() if member.hyperparameters is None else FitStart(np.array(member.hyperparameters))
