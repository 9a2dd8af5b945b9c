"""Calibration: how much wider or narrower intervals must be to hold what was not seen, where losses are high and low.

Axes: R runs, M mixtures.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.9
# 90 % of a normal distribution lies within so many standard deviations.
# The normal distribution's quantile at 0.5 + CONFIDENCE / 2, written out: params are checked before scipy is loaded.
NINETY = 1.6448536269514722
# The factor is read off at so many levels and averaged (in logarithms). One level alone varies with the runs, and the
# highest alone is set by outliers: errors of cross-validation on RegMix's training rows have a kurtosis of 14.
_LEVELS = (0.7, CONFIDENCE)
# To make intervals narrower than the fit says takes evidence: half of it (in logarithms) is believed with so many runs.
_HALF_BELIEVED = 20
# How much the logarithm of an error may grow from the mean prediction to one standard deviation above: tried, and the
# standard deviation of the normal prior. Beyond so many standard deviations it grows no further.
_SLOPES = np.linspace(-0.8, 0.8, 65)
_SLOPE_SD, _FURTHEST = 0.3, 2.0
_LEAST_FACTOR = 1e-3


@dataclass(frozen=True)
class Calibration:
    """The factor on every standard deviation: `factor` exp(`slope` u), u = (prediction - `centre`) / `spread`.

    Where a loss is predicted to be high, predictions are further off: bad mixtures are few and extreme.
    """

    factor: float = 1.0
    slope: float = 0.0
    centre: float = 0.0
    spread: float = 1.0

    def scale(self, mean_M: Array) -> Array:
        """Return the factor of every predicted objective, shape [M]."""
        return np.asarray(self.factor * np.exp(self.slope * self._place(mean_M)))

    def _place(self, mean_M: Array) -> Array:
        return np.clip((mean_M - self.centre) / self.spread, -_FURTHEST, _FURTHEST)


UNCALIBRATED = Calibration()


def calibrate(objective_R: Array, predicted_R: Array, sd_R: Array) -> Calibration:
    """Return the calibration with which intervals hold as many of the runs left out as they say.

    `predicted_R` and `sd_R` (with noise) come from fits that have not seen the run. The slope is the most likely one if
    errors are Laplace-distributed. The factor at a level is counted as conformal prediction does: the error of rank
    level (R + 1) of R (between two ranks in proportion), in what a normal distribution has there.
    """
    spread = Calibration(centre=float(predicted_R.mean()), spread=max(float(predicted_R.std()), 1e-12))
    z_R, place_R = np.abs(objective_R - predicted_R) / sd_R, spread._place(predicted_R)
    slope = _slope(z_R, place_R)
    factor = _factor(z_R * np.exp(-slope * place_R))
    return Calibration(factor, slope, spread.centre, spread.spread)


def _factor(z_R: Array) -> float:
    runs = len(z_R)
    found = [np.quantile(z_R, level, method="weibull") / scipy.stats.norm.ppf(0.5 + level / 2) for level in _LEVELS]
    factor = float(np.exp(np.log(np.maximum(found, _LEAST_FACTOR)).mean()))
    return factor if factor >= 1 else factor ** (runs / (runs + _HALF_BELIEVED))


def _slope(z_R: Array, place_R: Array) -> float:
    """Return the slope with the highest posterior, the level having been integrated out by its best value."""
    if not z_R.max() > 0:
        return 0.0
    shrunk_SR = z_R * np.exp(-_SLOPES[:, None] * place_R)
    loss_S = len(z_R) * np.log(shrunk_SR.mean(axis=1)) + _SLOPES * place_R.sum() + 0.5 * (_SLOPES / _SLOPE_SD) ** 2
    return float(_SLOPES[int(np.argmin(loss_S))])
