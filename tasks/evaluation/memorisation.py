"""Does a model know what it was trained on? Min-K%, Min-K%++, and how well they tell members from others.

Min-K% (arXiv 2310.16789) is the mean of the k % lowest log-probabilities of a text's tokens: text that was trained on has
few tokens that surprise. Min-K%++ (arXiv 2404.02936) first takes from each log-probability the mean, and divides by the
standard deviation, that log-probabilities have under the model's own prediction there. AUROC is the probability that a
member scores higher than another document; 0.5 = the score knows nothing. Members and others have to be alike in source
and length: else AUROC measures that difference.

Axes: T tokens of a document, M members, N others, P pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Lengths within one bin differ by less than this factor; a guess.
_BIN = 1.1
# Below this standard deviation a prediction is certain, and its own tokens standardise to 0.
_CERTAIN = 1e-6


def lowest_mean(values_T: Floats, percent: int) -> float:
    """Return the mean of the lowest `percent` % of values, rounded down, of at least one.

    >>> lowest_mean(np.array([-1.0, -5.0, -2.0, -3.0, -4.0]), 40)
    -4.5
    """
    number = max(1, len(values_T) * percent // 100)
    return float(np.sort(values_T)[:number].mean())


def standardised(log_p_T: Floats, mean_T: Floats, sd_T: Floats) -> Floats:
    """Return log-probabilities less their mean under the prediction, by their standard deviation there."""
    result_T: Floats = (log_p_T - mean_T) / np.maximum(sd_T, _CERTAIN)
    return result_T


def matched(
    lengths_M: Integers, lengths_N: Integers, limit: int, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Return the places of at most `limit` members and as many others, drawn so that their lengths pair off.

    Lengths pair off where they are in one bin of a geometric scale; what has no partner is left out.
    """
    (places_M, keys_M), (places_N, keys_N) = (_ranked(lengths, random) for lengths in (lengths_M, lengths_N))
    _, first_P, second_P = np.intersect1d(keys_M, keys_N, assume_unique=True, return_indices=True)
    chosen = np.sort(random.permutation(len(first_P))[:limit])
    return places_M[first_P[chosen]], places_N[second_P[chosen]]


def _ranked(lengths: Integers, random: np.random.Generator) -> tuple[Integers, Integers]:
    """Return places in random order within each bin, with keys that say bin and rank in it."""
    places = random.permutation(len(lengths))
    bins = np.floor(np.log(lengths[places]) / log(_BIN)).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    places, bins = places[order], bins[order]
    ranks = np.arange(len(bins)) - np.searchsorted(bins, bins)
    return places, (bins << 32) + ranks


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve with its variance; `pairs` members and others were compared."""

    value: float
    variance: float
    pairs: int


def area(members_P: Floats, others_P: Floats) -> Area:
    """Return the AUROC of scores, higher = member, with DeLong's variance; as many members as others, at least two.

    >>> area(np.array([3.0, 1.0]), np.array([2.0, 0.0])).value
    0.75
    """
    wins_M = _share_below(others_P, members_P)
    losses_N = 1 - _share_below(members_P, others_P)
    pairs = len(members_P)
    return Area(float(wins_M.mean()), float(wins_M.var(ddof=1) + losses_N.var(ddof=1)) / pairs, pairs)


def mean_area(areas: Sequence[Area]) -> Area:
    """Return the AUROC within groups: the mean over them, weighted by their pairs. Nothing is compared across groups."""
    pairs = sum(one.pairs for one in areas)
    value = sum(one.value * one.pairs for one in areas) / pairs
    return Area(value, sum(one.variance * one.pairs**2 for one in areas) / pairs**2, pairs)


def interval(found: Area, confidence: float) -> tuple[float, float]:
    """Return the interval of an AUROC, normal on the scale of its logit.

    Where no score is out of order there is no variance: then the interval is that of so many disjoint pairs which were all
    won (Clopper and Pearson), or all lost.
    """
    tail = (1 - confidence) / 2
    if found.variance == 0:
        bound = tail ** (1 / found.pairs)
        return (bound if found.value == 1 else 0.0), (1 - bound if found.value == 0 else 1.0)
    spread = found.value * (1 - found.value)
    reach = NormalDist().inv_cdf(1 - tail) * sqrt(found.variance) / spread
    middle = log(found.value / (1 - found.value))
    return 1 / (1 + exp(reach - middle)), 1 / (1 + exp(-reach - middle))


def _share_below(scores: Floats, asked: Floats) -> Floats:
    """Return the share of `scores` that is below each of `asked`; equal ones count half."""
    ordered = np.sort(scores)
    counts = np.searchsorted(ordered, asked, "left") + np.searchsorted(ordered, asked, "right")
    return counts / (2 * len(scores))
