"""How far a fitted curve may be off: noise of a run, uncertainty of the parameters, and the law itself beyond its points.

The first two are the delta method: variance s^2 (1 + g' V g), with V from the derivatives on the points and a weak prior,
and Student's t. s^2 is the mean squared residual over n - p degrees of freedom with a prior value that counts as one more.
That alone holds 20 to 60 % of what an 80 % interval should where a law is carried on
(measured on the tables of docs/laws.md): laws bend.
So the variance grows by drift^2 for every e-fold beyond the points, like a random walk, and the drift is measured on the
table: the dearest 60, 40 and 20 % of the runs are held out in turn, and what the fit to the others misses there tells it.

Axes: R rows, P parameters, K coordinates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.laws.curve import Array, Columns, Curve, Rows, derivatives, rows_of
from tasks.laws.fitting import Objective, best_fit

# Shares of the runs, cheapest first, that are kept when the others are held out.
_KEPT = (0.4, 0.6, 0.8)
# Held-out points nearer than this, in e-folds, tell noise and no drift.
_FAR = 0.2


@dataclass(frozen=True)
class Predictions:
    """Prediction, interval, how many e-folds beyond the points, and whether as far again as they span; shapes [R]."""

    prediction_R: Array
    lower_R: Array
    upper_R: Array
    beyond_R: Array
    far_R: Rows


@dataclass(frozen=True)
class FittedCurve:
    """A curve at its optimum; `runs` are the points it was fitted to."""

    curve: Curve
    runs: Columns
    p_P: Array
    covariance_PP: Array
    residual_sd: float
    degrees_of_freedom: int
    drift: float
    rms: float

    def values(self, columns: Columns) -> Array:
        """Return the law's values, shape [R]."""
        return np.asarray(self.curve.values(self.p_P, columns))

    def sd(self, columns: Columns) -> Array:
        """Return the standard deviation of a run about its prediction, in the unit that errors have, shape [R]."""
        slopes_RP = derivatives(lambda p_P: self.curve.link(self.curve.values(p_P, columns)), self.p_P)
        variance_R = np.einsum("rp,pq,rq->r", slopes_RP, self.covariance_PP, slopes_RP)
        beyond_R, _ = beyond(self.curve, self.runs, columns)
        return np.asarray(np.sqrt(self.residual_sd**2 + variance_R + self.drift**2 * beyond_R))

    def predict(self, columns: Columns, confidence: float) -> Predictions:
        """Return predictions of single runs with their intervals."""
        linked_R = self.curve.link(self.values(columns))
        half_R = self.width(confidence) * self.sd(columns)
        beyond_R, steps_R = beyond(self.curve, self.runs, columns)
        low_R, high_R = self.curve.unlink(linked_R - half_R), self.curve.unlink(linked_R + half_R)
        return Predictions(self.curve.unlink(linked_R), low_R, high_R, beyond_R, steps_R > 1)

    def reported(self, confidence: float) -> dict[str, tuple[float, float, float]]:
        """Return every parameter of the paper with its interval, by name."""
        names = list(self.curve.reported(self.p_P))
        value_N = np.array([float(self.curve.reported(self.p_P)[name]) for name in names])
        slopes_NP = derivatives(lambda p_P: np.stack([self.curve.reported(p_P)[name] for name in names]), self.p_P)
        half_N = self.width(confidence) * np.sqrt(np.einsum("np,pq,nq->n", slopes_NP, self.covariance_PP, slopes_NP))
        numbers = zip(value_N.tolist(), (value_N - half_N).tolist(), (value_N + half_N).tolist(), strict=True)
        return dict(zip(names, numbers, strict=True))

    def width(self, confidence: float) -> float:
        """Return half an interval in standard deviations."""
        from scipy.stats import t

        return float(t.ppf(0.5 + confidence / 2, self.degrees_of_freedom))


def fitted(
    curve: Curve, columns: Columns, target_R: Array, starts: Callable[[], list[Array]], objective: Objective
) -> FittedCurve:
    """Fit a curve, and measure on the same points how far it may be off.

    Raises:
        EvidenceError: see `best_fit`.
    """
    p_P = best_fit(curve, columns, target_R, starts(), objective)
    return uncertain(curve, columns, target_R, p_P, _drift(curve, columns, target_R, p_P, objective))


def beyond(curve: Curve, runs: Columns, columns: Columns) -> tuple[Array, Array]:
    """Return how far rows lie beyond the runs, in e-folds and in ranges of the runs; shapes [R], 0 inside.

    The coordinate in which a row lies farthest out counts.
    """
    inside_KR, asked_KR = curve.coordinates(runs), curve.coordinates(columns)
    lower_K, upper_K = inside_KR.min(axis=1, keepdims=True), inside_KR.max(axis=1, keepdims=True)
    outside_KR = np.maximum(np.maximum(asked_KR - upper_K, lower_K - asked_KR), 0.0)
    outside_KR = np.where(outside_KR > 1e-9, outside_KR, 0.0)
    return outside_KR.max(axis=0), (outside_KR / np.maximum(upper_K - lower_K, 1e-9)).max(axis=0)


def uncertain(curve: Curve, columns: Columns, target_R: Array, p_P: Array, drift: float) -> FittedCurve:
    """Return a curve at its optimum with what the points leave open of its parameters."""
    slopes_RP = derivatives(lambda p: curve.link(curve.values(p, columns)), p_P)
    error_R = curve.link(np.asarray(curve.values(p_P, columns))) - curve.link(target_R)
    freedom = 1 + max(len(target_R) - len(p_P), 0)
    residual_sd = float(np.sqrt((curve.noise**2 + (error_R**2).sum()) / freedom))
    precision_PP = slopes_RP.T @ slopes_RP / residual_sd**2 + np.diag([one.spread**-2 for one in curve.parameters])
    covariance_PP = np.asarray(np.linalg.inv(precision_PP), np.float64)
    rms = float(np.sqrt((error_R**2).mean()))
    return FittedCurve(curve, columns, p_P, covariance_PP, residual_sd, freedom, drift, rms)


def _drift(curve: Curve, columns: Columns, target_R: Array, p_P: Array, objective: Objective) -> float:
    """Return the standard deviation that the law gains in one e-fold beyond its points, from runs held out."""
    squares, count = curve.drift**2, 1
    for kept_R in _cheapest(curve, columns, len(p_P)):
        some, others = rows_of(columns, kept_R), rows_of(columns, ~kept_R)
        near_P = best_fit(curve, some, target_R[kept_R], [p_P], objective)
        part = uncertain(curve, some, target_R[kept_R], near_P, 0.0)
        beyond_R, _ = beyond(curve, some, others)
        far_R = beyond_R > _FAR
        if not far_R.any():
            continue
        error_R = curve.link(part.values(others)) - curve.link(target_R[~kept_R])
        missed_R = np.maximum(error_R**2 - part.sd(others) ** 2, 0.0)
        squares += float(missed_R[far_R].sum() / beyond_R[far_R].sum())
        count += 1
    return float(np.sqrt(squares / count))


def _cheapest(curve: Curve, columns: Columns, parameters: int) -> list[Rows]:
    """Return which rows are kept, [R] each, where more are left than the law has parameters."""
    effort_R = curve.effort(columns)
    ordered_R = np.sort(effort_R)
    parts = [effort_R < ordered_R[min(int(share * len(ordered_R)), len(ordered_R) - 1)] - 1e-9 for share in _KEPT]
    varied_K = np.ptp(curve.coordinates(columns), axis=1) > 1e-9
    return [
        kept_R
        for kept_R in parts
        if kept_R.sum() > parameters
        and (np.ptp(curve.coordinates(rows_of(columns, kept_R)), axis=1) > 1e-9)[varied_K].all()
    ]
