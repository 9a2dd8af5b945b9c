"""One loss from another: L1 = K (L0 - E0)^kappa + E1 (Brandfonbrener et al., arXiv 2411.12925, equation 5).

Two models trained with the same parameters and tokens on two corpora, or one model on two held-out sets. Pairs say little
about the floors E0 and E1. As in the paper they are those of scaling laws, where the table has `params` and `tokens`: of two
forms, the mean of whose curves is taken. Without sizes they are searched between .6 and .9 of the least losses, and kappa
between .8 and 1.25.
"""

import itertools
from functools import partial
from typing import Any, Literal

import numpy as np

from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter
from tasks.laws.floors import floors_of
from tasks.laws.intervals import FittedCurve, Predictions, fitted
from tasks.laws.law import FittedLaw, Reads, answered
from tasks.laws.table import POSITIVE, Column, LawTable, require_points

_FROM = Column("loss_0", "the loss that is known", POSITIVE)
_TO = Column("loss_1", "the loss that is predicted from it", POSITIVE)
_SIZES = (
    Column("params", "parameters of the model; with tokens, for the floors", POSITIVE, required=False),
    Column("tokens", "tokens it was trained on", POSITIVE, required=False),
)
READS = Reads(runs=(_FROM, _TO, *_SIZES), at=(_FROM,))
# A loss at or below E0 is answered as one so far above it.
_NEAR = 1e-3
_SHARES, _KAPPAS = (0.6, 0.9), (0.8, 1.25)
# What a floor that is given is searched within.
_FIXED = 1e-9
Floors = tuple[tuple[float, float], tuple[float, float]]


class LossToLoss(Params):
    """The law has no settings."""

    kind: Literal["loss_to_loss"] = "loss_to_loss"


def fit_loss_to_loss(params: LossToLoss, runs: LawTable) -> FittedLaw:
    """Fit the law to pairs of losses.

    Raises:
        EvidenceError: fewer pairs than parameters, or sizes that cannot identify a scaling law.
    """
    require_points(runs, params.kind, ("loss_0",), 4)
    from_R, to_R = runs.numbers["loss_0"], runs.numbers["loss_1"]
    laws = {
        name: fitted(
            _curve(from_R, to_R, floors, kappas),
            {"loss_0": from_R},
            to_R,
            partial(_starts, from_R, to_R, floors),
            "squares",
        )
        for name, (floors, kappas) in _floors(params, runs).items()
    }
    return FittedLaw(
        params.kind, laws, lambda at, confidence: answered(_predict([*laws.values()], at.numbers, confidence))
    )


def _floors(params: LossToLoss, runs: LawTable) -> dict[str, tuple[Floors, tuple[float, float]]]:
    """Return what E0, E1 and kappa are searched between, for each curve by name."""
    losses = [runs.numbers["loss_0"], runs.numbers["loss_1"]]
    if not {"params", "tokens"} <= {*runs.numbers}:
        shares = [(_SHARES[0] * float(loss_R.min()), _SHARES[1] * float(loss_R.min())) for loss_R in losses]
        return {"loss_1": ((shares[0], shares[1]), _KAPPAS)}
    require_points(runs, f"{params.kind} (of the floors)", ("params", "tokens"), 5)
    found = zip(*(floors_of(runs.numbers, loss_R) for loss_R in losses), strict=True)
    names = ("loss_1 with Chinchilla's floors", "loss_1 with Kaplan's floors")
    return {
        name: (((one, one + _FIXED), (other, other + _FIXED)), (1e-2, 5.0))
        for name, (one, other) in zip(names, found, strict=True)
    }


def _predict(laws: list[FittedCurve], at: Columns, confidence: float) -> Predictions:
    """Return the mean of the curves; where they differ, the interval is wider."""
    each = [law.predict(at, confidence) for law in laws]
    value_R = np.mean([one.prediction_R for one in each], axis=0)
    half_R = np.mean([(one.upper_R - one.lower_R) / 2 for one in each], axis=0)
    wide_R = np.hypot(half_R, laws[0].width(confidence) * np.ptp([one.prediction_R for one in each], axis=0) / 2)
    return Predictions(value_R, np.maximum(value_R - wide_R, 0.0), value_R + wide_R, each[0].beyond_R, each[0].far_R)


def _curve(from_R: Array, to_R: Array, floors: Floors, kappas: tuple[float, float]) -> Curve:
    middle = float(np.median(from_R))

    def values(p: Any, at: Columns) -> Any:
        above = np.where(at["loss_0"] > p[2].real + _NEAR, at["loss_0"] - p[2], _NEAR)
        return p[3] + np.exp(p[0] + p[1] * (np.log(above) - np.log(middle - p[2])))

    def reported(p: Any) -> dict[str, Any]:
        return {"K": np.exp(p[0] - p[1] * np.log(middle - p[2])), "kappa": p[1], "E0": p[2], "E1": p[3]}

    searched = (
        Parameter("log of the middle loss above E1", -20.0, 10.0, 1.0),
        Parameter("kappa", *kappas, 0.3),
        Parameter("E0", *floors[0], 0.1 * float(from_R.min())),
        Parameter("E1", *floors[1], 0.1 * float(to_R.min())),
    )
    return Curve(searched, values, reported, lambda at: np.log(at["loss_0"])[None], lambda at: -at["loss_0"])


def _starts(from_R: Array, to_R: Array, floors: Floors) -> list[Array]:
    middle = float(np.median(to_R))
    return [
        np.array([np.log(middle - one[1]), kappa, *one])
        for kappa, one in itertools.product((0.9, 1.1), zip(*floors, strict=True))
    ]
