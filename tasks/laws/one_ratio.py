"""Loss of continual pre-training over its tokens at one ratio: the section of the law `cmr` that one run shows.

L(T) = c + a T^t, fitted as loss at the middle and slope there in log T, so that t near 0 is log T without a jump.
"""

from typing import Any

import numpy as np

from tasks.laws.curve import Array, Columns, Curve, Parameter, centre
from tasks.laws.intervals import FittedCurve, fitted

LEAST_POINTS = 3


def fit_one_ratio(tokens_R: Array, loss_R: Array) -> FittedCurve:
    """Return the law of at least `LEAST_POINTS` numbers of tokens, above 0, and the losses there.

    Raises:
        EvidenceError: the law has no finite value on them.
    """
    columns = {"tokens": tokens_R}
    return fitted(_curve(columns, loss_R), columns, loss_R, lambda: _starts(loss_R), "squares")


def _curve(columns: Columns, loss_R: Array) -> Curve:
    middle, spread, level = centre(columns["tokens"]), float(max(np.ptp(loss_R), 1e-6 * loss_R.mean())), loss_R.mean()

    def values(p: Any, at: Columns) -> Any:
        return p[0] + p[1] * (np.exp(p[2] * np.log(at["tokens"] / middle)) - 1) / p[2]

    def reported(p: Any) -> dict[str, Any]:
        return {"c": p[0] - p[1] / p[2], "a": p[1] / p[2] * middle ** -p[2], "t": p[2]}

    searched = (
        Parameter("loss at the middle", 0.0, np.inf, 2 * spread),
        Parameter("slope in log tokens", -np.inf, np.inf, 2 * spread),
        Parameter("t", -3.0, 3.0, 0.5),
    )
    # As in `cmr`: nothing keeps this form above 0, so its errors are those of the loss itself.
    return Curve(
        searched,
        values,
        reported,
        lambda at: np.log(at["tokens"])[None],
        lambda at: np.asarray(at["tokens"]),
        relative=False,
        noise=0.005 * float(level),
        drift=0.015 * float(level),
    )


def _starts(loss_R: Array) -> list[Array]:
    middle, slope = float(loss_R.mean()), float(loss_R[-1] - loss_R[0])
    return [np.array([middle, slope, t]) for t in (-0.5, 0.1, 0.6)]
