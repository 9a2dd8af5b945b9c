"""One loss from another: L1 = K (L0 - E0)^kappa + E1 (Brandfonbrener et al., arXiv 2411.12925, equation 5).

Two models trained with the same parameters and tokens on two corpora, or one model on two held-out sets. The authors take
E0 and E1 from two scaling laws; here all four are fitted to the pairs, by least squares. A pair says little about the
floors and much about the curve between: read the prediction, not the parameters.
"""

import itertools
from typing import Any, Literal

import numpy as np

from tasks.core.params import Params
from tasks.laws.curve import Array, Columns, Curve, Parameter
from tasks.laws.intervals import fitted
from tasks.laws.law import FittedLaw, Reads, answered
from tasks.laws.table import POSITIVE, Column, LawTable, require_points

_FROM = Column("loss_0", "the loss that is known", POSITIVE)
_TO = Column("loss_1", "the loss that is predicted from it", POSITIVE)
READS = Reads(runs=(_FROM, _TO), at=(_FROM,))
_NEAR = 1e-3


class LossToLoss(Params):
    """The law has no settings."""

    kind: Literal["loss_to_loss"] = "loss_to_loss"


def fit_loss_to_loss(params: LossToLoss, runs: LawTable) -> FittedLaw:
    """Fit the law to pairs of losses.

    Raises:
        EvidenceError: fewer pairs than parameters.
    """
    require_points(runs, params.kind, ("loss_0",), 4)
    from_R, to_R = runs.numbers["loss_0"], runs.numbers["loss_1"]
    law = fitted(_curve(from_R, to_R), runs.numbers, to_R, lambda: _starts(from_R, to_R), "squares")
    return FittedLaw(params.kind, {"loss_1": law}, lambda at, confidence: answered(law.predict(at.numbers, confidence)))


def _curve(from_R: Array, to_R: Array) -> Curve:
    least, middle = float(from_R.min()), float(np.median(from_R))

    def values(p: Any, at: Columns) -> Any:
        # E0 = least - exp(p[3]): below every loss that was measured, as near as it likes. A loss below E0 is answered as one
        # just above it, with an interval that is wide for it.
        floor = least - np.exp(p[3])
        above = np.log(np.where(at["loss_0"] > floor.real, at["loss_0"], floor + _NEAR) - floor) - np.log(
            middle - floor
        )
        return p[0] + np.exp(p[1] + p[2] * above)

    def reported(p: Any) -> dict[str, Any]:
        floor = least - np.exp(p[3])
        return {"K": np.exp(p[1] - p[2] * np.log(middle - floor)), "kappa": p[2], "E0": floor, "E1": p[0]}

    lowest = float(to_R.min())
    searched = (
        Parameter("E1", 0.0, lowest, 0.3 * lowest),
        Parameter("log of the middle loss above E1", -20.0, 10.0, 1.0),
        Parameter("kappa", 1e-2, 5.0, 0.3),
        Parameter("log of the least loss above E0", float(np.log(1e-3 * least)), float(np.log(least)), 1.0),
    )
    return Curve(searched, values, reported, lambda at: np.log(at["loss_0"])[None], lambda at: -at["loss_0"])


def _starts(from_R: Array, to_R: Array) -> list[Array]:
    least, lowest, middle = float(from_R.min()), float(to_R.min()), float(np.median(to_R))
    return [
        np.array([floor * lowest, np.log(middle - floor * lowest), kappa, np.log(above * least)])
        for floor, kappa, above in itertools.product((0.3, 0.8), (0.7, 1.0), (0.1, 0.5))
    ]
