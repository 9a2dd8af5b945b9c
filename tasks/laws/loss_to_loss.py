"""One loss from another: L1 = K (L0 - E0)^kappa + E1 (Brandfonbrener et al., arXiv 2411.12925, equation 5).

Two models trained with the same parameters and tokens on two corpora, or one model on two held-out sets. Pairs say little
about the floors E0 and E1. As in the paper they are those of scaling laws, where the table has `params` and `tokens`: the
mean of what two forms leave open, less one standard deviation. That is chosen on the paper's runs up to 1e19 FLOPs and those
of 4.8e19, not on the larger ones that it is judged on. Without sizes the floors are searched between .6 and .9 of the least
losses, and kappa between .8 and 1.25.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter
from tasks.laws.fitting import best_fit
from tasks.laws.floors import floor_of
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


@dataclass(frozen=True)
class _Search:
    """What E0, E1 and kappa are searched between, and E0 and E1 one standard deviation higher where that is known."""

    floors: tuple[tuple[float, float], tuple[float, float]]
    kappas: tuple[float, float]
    higher: tuple[tuple[float, float], tuple[float, float]] | None = None

    def shifted(self) -> list["_Search"]:
        """Return the searches with one of the floors higher."""
        if self.higher is None:
            return []
        (one, other), (first, second) = self.floors, self.higher
        return [replace(self, floors=(first, other)), replace(self, floors=(one, second))]


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
    search = _search(params, runs)
    columns = {"loss_0": from_R}
    curves = [_curve(from_R, to_R, each) for each in (search, *search.shifted())]
    starts = [_starts(from_R, to_R, each) for each in (search, *search.shifted())]
    law = fitted(curves[0], columns, to_R, lambda: starts[0], "squares")
    others = [
        (curve, best_fit(curve, columns, to_R, some, "squares"))
        for curve, some in zip(curves[1:], starts[1:], strict=True)
    ]
    return FittedLaw(
        params.kind,
        {"loss_1": law},
        lambda at, confidence: answered(_predict(law, others, at.numbers, confidence)),
    )


def _predict(law: FittedCurve, others: list[tuple[Curve, Array]], at: Columns, confidence: float) -> Predictions:
    """Return the law's predictions; an interval is wider by what a floor one standard deviation higher changes."""
    found = law.predict(at, confidence)
    changed = [np.asarray(curve.values(p_P, at)) - found.prediction_R for curve, p_P in others]
    open_R = law.width(confidence) * np.sqrt(sum((each_R**2 for each_R in changed), np.zeros_like(found.prediction_R)))
    lower_R = found.prediction_R - np.hypot(found.prediction_R - found.lower_R, open_R)
    upper_R = found.prediction_R + np.hypot(found.upper_R - found.prediction_R, open_R)
    return replace(found, lower_R=np.maximum(lower_R, 0.0), upper_R=upper_R)


def _search(params: LossToLoss, runs: LawTable) -> _Search:
    losses = [runs.numbers["loss_0"], runs.numbers["loss_1"]]
    if not {"params", "tokens"} <= {*runs.numbers}:
        one, other = ((_SHARES[0] * float(loss_R.min()), _SHARES[1] * float(loss_R.min())) for loss_R in losses)
        return _Search((one, other), _KAPPAS)
    require_points(runs, f"{params.kind} (of the floors)", ("params", "tokens"), 5)
    first, second = (floor_of(runs.numbers, loss_R) for loss_R in losses)
    cautious, means = (
        tuple((each, each + _FIXED) for each in pair)
        for pair in ((first.cautious, second.cautious), (first.mean, second.mean))
    )
    return _Search((cautious[0], cautious[1]), (1e-2, 5.0), (means[0], means[1]))


def _curve(from_R: Array, to_R: Array, search: _Search) -> Curve:
    middle = float(np.median(from_R))

    def values(p: Any, at: Columns) -> Any:
        above = np.where(at["loss_0"] > p[2].real + _NEAR, at["loss_0"] - p[2], _NEAR)
        return p[3] + np.exp(p[0] + p[1] * (np.log(above) - np.log(middle - p[2])))

    def reported(p: Any) -> dict[str, Any]:
        return {"K": np.exp(p[0] - p[1] * np.log(middle - p[2])), "kappa": p[1], "E0": p[2], "E1": p[3]}

    searched = (
        Parameter("log of the middle loss above E1", -20.0, 10.0, 1.0),
        Parameter("kappa", *search.kappas, 0.3),
        Parameter("E0", *search.floors[0], 0.1 * float(from_R.min())),
        Parameter("E1", *search.floors[1], 0.1 * float(to_R.min())),
    )
    return Curve(searched, values, reported, lambda at: np.log(at["loss_0"])[None], lambda at: -at["loss_0"])


def _starts(from_R: Array, to_R: Array, search: _Search) -> list[Array]:
    middle = float(np.median(to_R))
    return [
        np.array([np.log(middle - one[1]), kappa, *one])
        for kappa, one in itertools.product((0.9, 1.1), zip(*search.floors, strict=True))
    ]
