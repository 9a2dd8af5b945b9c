"""Many scores of one comparison: which differences are real, and which effect could be found at all.

One score is named before anything is run and makes the claim, by the t test of paired differences over seeds. The others
are a family: their p-values are adjusted so that one false finding among all of them is rare (Holm; Westfall and Young
where there are seeds enough, who gain from scores that move together). Benjamini and Hochberg's rate of false findings is
for screening: it says where to look, and supports no claim.
Axes: K scores, S seeds.
"""

from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from tasks.core.errors import EvidenceError

Array = npt.NDArray[np.float64]

# With 6 seeds there are 64 ways to flip signs, so that the smallest p-value is 1/32; with fewer none is below 0.05.
MIN_SEEDS_OF_FLIPS = 6
# 2^12 flips; of more seeds this many are drawn.
_MOST_FLIPS = 4096
# Below this part of the squares a variance is what rounding left of none.
_ROUNDING = 1e-12


def p_values(differences_KS: Array) -> Array:
    """Return the two-sided p-value of each score's mean paired difference by Student's t, shape [K].

    A score that differs by the same amount in every seed has p = 0, or 1 where that amount is 0.

    Raises:
        EvidenceError: there are fewer than 2 seeds, or a difference is no finite number.
    """
    _require_seeds(differences_KS, 2)
    return np.asarray(2 * student.sf(np.abs(_t(differences_KS)), differences_KS.shape[1] - 1))


def holm(p_K: Array) -> Array:
    """Return p-values adjusted by Holm (1979): the k-th smallest of n times n - k + 1, never falling.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order_K = np.argsort(p_K, kind="stable")
    factors_K = np.arange(len(p_K), 0, -1)
    return _placed(np.minimum(np.maximum.accumulate(p_K[order_K] * factors_K), 1.0), order_K)


def benjamini_hochberg(p_K: Array) -> Array:
    """Return p-values adjusted for the rate of false findings (1995): the k-th smallest of n times n / k, never rising.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order_K = np.argsort(p_K, kind="stable")
    scaled_K = p_K[order_K] * len(p_K) / np.arange(1, len(p_K) + 1)
    return _placed(np.minimum(np.minimum.accumulate(scaled_K[::-1])[::-1], 1.0), order_K)


def westfall_young(differences_KS: Array, seed: int = 0) -> Array:
    """Return p-values adjusted by the step-down maximum of |t| over flipped signs (Westfall and Young 1993, Algorithm 4.1).

    Without an effect a seed's differences are as likely with the other sign, all scores of it together: so the flips keep
    how scores move together. All flips are taken up to 12 seeds, 4,096 drawn ones beyond.

    Raises:
        EvidenceError: there are fewer than 6 seeds, or a difference is no finite number.
    """
    _require_seeds(differences_KS, MIN_SEEDS_OF_FLIPS)
    number = differences_KS.shape[1]
    if 2**number <= _MOST_FLIPS:
        signs_FS = np.array(list(product((1.0, -1.0), repeat=number)))
    else:
        drawn = np.random.Generator(np.random.Philox(seed)).choice((1.0, -1.0), size=(_MOST_FLIPS - 1, number))
        signs_FS = np.vstack([np.ones(number), drawn])
    # A flip leaves the squares as they are: only means change.
    t_FK = np.abs(_t_of_means(signs_FS @ differences_KS.T / number, (differences_KS**2).mean(axis=1), number))
    order_K = np.argsort(-t_FK[0], kind="stable")
    largest_FK = np.maximum.accumulate(t_FK[:, order_K][:, ::-1], axis=1)[:, ::-1]
    # A flip that only rounds otherwise is no smaller.
    p_K = (largest_FK >= t_FK[0, order_K] * (1 - 1e-9)).mean(axis=0)
    return _placed(np.maximum.accumulate(p_K), order_K)


def detectable_effect(noise_sd: float, num_seeds: int, *, confidence: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest true difference that a paired t test finds with this power, in the unit of `noise_sd`.

    `noise_sd` is the standard deviation of a seed's paired difference. Solved in the noncentral t distribution.

    >>> round(detectable_effect(1.0, 5), 3)
    1.682

    Raises:
        EvidenceError: there are fewer than 2 seeds.
    """
    if num_seeds < 2:
        raise EvidenceError(f"{num_seeds} seed(s) tell nothing of noise, so no effect is detectable: run at least 3.")
    freedom = num_seeds - 1
    limit = float(student.ppf(0.5 + confidence / 2, freedom))

    def excess(effect: float) -> float:
        center = effect * num_seeds**0.5
        return float(nct.sf(limit, freedom, center) + nct.cdf(-limit, freedom, center)) - power

    highest = 1.0
    while excess(highest) < 0:
        highest *= 2
    return noise_sd * float(brentq(excess, 0.0, highest))


def _t(differences_KS: Array) -> Array:
    number = differences_KS.shape[1]
    return _t_of_means(differences_KS.mean(axis=1), (differences_KS**2).mean(axis=1), number)


def _t_of_means(means: Array, mean_squares_K: Array, number: int) -> Array:
    """Return t = mean / (sd / sqrt(S)), shape [..., K]; a score without spread has infinity, or 0 where it is 0."""
    variances = (mean_squares_K - means**2) * number / (number - 1)
    spread = variances > _ROUNDING * mean_squares_K
    t = means / np.sqrt(np.where(spread, variances, 1.0) / number)
    return np.asarray(np.where(spread, t, np.where(means == 0, 0.0, np.inf)))


def _require_seeds(differences_KS: Array, least: int) -> None:
    if (number := differences_KS.shape[1]) < least:
        raise EvidenceError(f"{number} seed(s) are too few for this test; {least} are needed. Run more seeds.")
    if lost := int((~np.isfinite(differences_KS)).sum()):
        raise EvidenceError(f"{lost} of {differences_KS.size} differences are no finite numbers. Measure those again.")


def _placed(sorted_K: Array, order_K: npt.NDArray[np.int64]) -> Array:
    """Return values given in an order in the places that they come from."""
    placed_K = np.empty(len(sorted_K))
    placed_K[order_K] = sorted_K
    return placed_K
