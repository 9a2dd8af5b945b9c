"""Loss of over-trained models and error of their tasks (Gadre et al., arXiv 2403.08540, equations 4 and 5).

L = E + alpha N^b + beta 6^(b/2) (M N)^b with M = D / N tokens per parameter and b < 0: both terms fall alike, so that
lines of one M are parallel. Error = epsilon - k exp(-gamma L). Both by least squares from the authors' starts, the best:
that reproduces their figures to the last digit; Huber's function of the log loss does not.
"""

import itertools
from typing import Any, Literal

import numpy as np

from tasks.core.errors import DataError
from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter, centre, compute_effort, size_coordinates
from tasks.laws.intervals import FittedCurve, Predictions, fitted
from tasks.laws.law import LOSS, PARAMS, TOKENS, Answer, FittedLaw, Reads, reach, written
from tasks.laws.table import SHARE, Column, LawTable, require_points

_ERROR = Column("error", "mean error of the tasks; gives the error law too", SHARE, required=False)
_USE = Column("use", "which law a run is fitted in: loss, error or both; without the column both", None, required=False)
READS = Reads(runs=(PARAMS, TOKENS, LOSS, _ERROR, _USE), at=(PARAMS, TOKENS))
_USES = ("loss", "error", "both")
# The authors' starts (scaling/laws.py of their repository): alpha and beta, b, E.
_SCALES, _EXPONENTS, _FLOORS = (1e2, 3e2, 1e3, 3e3), (-0.1, -0.3), (0.0, 1.0, 2.0, 10.0)
_LOG_6 = float(np.log(6.0))


class OverTraining(Params):
    """The law has no settings."""

    kind: Literal["over_training"] = "over_training"


def fit_over_training(params: OverTraining, runs: LawTable) -> FittedLaw:
    """Fit the loss law, and where the table has errors the error law on the measured losses.

    Raises:
        DataError: a use that is none.
        EvidenceError: fewer points than parameters, one size, or one number of tokens.
    """
    in_loss, in_error = _used(runs)
    require_points(in_loss, params.kind, ("params", "tokens"), 4)
    loss_R = in_loss.numbers["loss"]
    loss = fitted(_loss_curve(in_loss.numbers, loss_R), in_loss.numbers, loss_R, _starts(in_loss), "squares")
    if "error" not in runs.numbers:
        return FittedLaw(params.kind, {"loss": loss}, lambda at, confidence: _answer(loss, None, at, confidence))
    error = fit_error(in_error, params.kind)
    curves = {"loss": loss, "error": error}
    return FittedLaw(params.kind, curves, lambda at, confidence: _answer(loss, error, at, confidence))


def fit_error(runs: LawTable, kind: str) -> FittedCurve:
    """Fit the error law to measured losses and errors.

    Raises:
        EvidenceError: fewer losses than parameters.
    """
    require_points(runs, f"{kind} (of the error)", ("loss",), 3)
    return fitted(_error_curve(), runs.numbers, runs.numbers["error"], _error_starts, "squares")


def _used(runs: LawTable) -> tuple[LawTable, LawTable]:
    if _USE.name not in runs.header:
        return runs, runs
    uses = runs.text(_USE.name)
    wrong = [row for row, use in enumerate(uses) if use not in _USES]
    if wrong:
        raise DataError(
            f"{runs.path}: {len(wrong)} cells of column use are none of {', '.join(_USES)}; first: {runs.place(wrong[0])}: "
            f"{uses[wrong[0]]!r}. Write one of them."
        )
    return runs.only(np.array([use != "error" for use in uses])), runs.only(np.array([use != "loss" for use in uses]))


def _loss_curve(columns: Columns, loss_R: Array) -> Curve:
    """Return the law, searched as E, the logarithms of both terms at the middle of the points, and -b."""
    params, tokens = centre(columns["params"]), centre(columns["tokens"])

    def values(p: Any, at: Columns) -> Any:
        by_params = np.exp(p[1] - p[3] * np.log(at["params"] / params))
        return p[0] + by_params + np.exp(p[2] - p[3] * np.log(at["tokens"] / tokens))

    def reported(p: Any) -> dict[str, Any]:
        alpha, beta = np.exp(p[1] + p[3] * np.log(params)), np.exp(p[2] + p[3] * (np.log(tokens) + _LOG_6 / 2))
        return {"E": p[0], "alpha": alpha, "beta": beta, "b": -p[3]}

    least = float(loss_R.min())
    searched = (
        Parameter("E", 0.0, least, 0.3 * least),
        *(Parameter(f"log {name} at the centre", -30.0, 10.0, 1.5) for name in ("alpha", "beta")),
        Parameter("-b", 1e-3, 3.0, 0.3),
    )
    return Curve(searched, values, reported, size_coordinates, compute_effort)


def _starts(runs: LawTable) -> Any:
    params, tokens = centre(runs.numbers["params"]), centre(runs.numbers["tokens"])
    starts = [
        np.array([E, np.log(alpha * params**b), np.log(beta * tokens**b) + b * _LOG_6 / 2, -b])
        for E, alpha, beta, b in itertools.product(_FLOORS, _SCALES, _SCALES, _EXPONENTS)
    ]
    return lambda: starts


def _error_curve() -> Curve:
    def values(p: Any, at: Columns) -> Any:
        return p[0] - np.exp(p[1] - p[2] * at["loss"])

    searched = (
        Parameter("epsilon", 0.0, 2.0, 0.3),
        Parameter("log k", -20.0, 20.0, 1.5),
        Parameter("gamma", 1e-3, 10.0, 0.5),
    )
    return Curve(
        searched,
        values,
        lambda p: {"epsilon": p[0], "k": np.exp(p[1]), "gamma": p[2]},
        lambda at: np.log(at["loss"])[None],
        lambda at: -at["loss"],
        relative=False,
        noise=0.005,
        drift=0.02,
    )


def _error_starts() -> list[Array]:
    return [np.array([0.9, np.log(k), gamma]) for k in (0.5, 2.0, 8.0) for gamma in (0.3, 1.0)]


def _answer(loss: FittedCurve, error: FittedCurve | None, at: LawTable, confidence: float) -> Answer:
    """Return the loss; and the error at it, whose interval takes the loss's along."""
    of_loss = loss.predict(at.numbers, confidence)
    columns = written(of_loss)
    if error is not None:
        columns |= written(_error_at(loss, error, of_loss, at.numbers, confidence), "error_")
    return Answer({**columns, **reach(of_loss)}, int(of_loss.far_R.sum()))


def _error_at(
    loss: FittedCurve, error: FittedCurve, of_loss: Predictions, at: Columns, confidence: float
) -> Predictions:
    reached = {"loss": of_loss.prediction_R}
    loss_sd_R = of_loss.prediction_R * loss.sd(at)
    _, log_k, gamma = error.p_P
    steepness_R = gamma * np.exp(log_k - gamma * of_loss.prediction_R)
    half_R = np.hypot(error.width(confidence) * error.sd(reached), loss.width(confidence) * steepness_R * loss_sd_R)
    value_R = error.values(reached)
    return Predictions(
        value_R, np.clip(value_R - half_R, 0, 1), np.clip(value_R + half_R, 0, 1), of_loss.beyond_R, of_loss.far_R
    )
