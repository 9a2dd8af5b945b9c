"""Shares of topics, corrected by a sample that people have labelled. Axes: N documents, n of them labelled, K topics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Both ends of 95 % of the normal distribution.
_Z = 1.959964


@dataclass(frozen=True)
class Shares:
    """Of each topic its share as predicted and as corrected, with the ends of its 95 % interval."""

    predicted_K: Floats
    corrected_K: Floats
    low_K: Floats
    high_K: Floats


def corrected(predicted_N: Ints, rows_n: Ints, true_n: Ints, probability_n: Floats, topics: int) -> Shares:
    """Return the shares of topics: those predicted, plus the mean error found in a sample of known probabilities.

    Design-based supervised learning (Egami et al. 2023, arXiv 2306.04746): mean(p) + mean(R / pi (y - p)), unbiased whatever
    the errors of predictions are, because the sample was drawn at random. The variance is that of the sum of n independent
    draws. Two errors that were not seen, one each way, are added to it: where no error is found among few documents
    the interval would have no width (as Agresti and Coull add two successes and two failures to a share).
    """
    documents = len(predicted_N)
    predicted_K = np.bincount(predicted_N, minlength=topics) / documents
    topic_K = np.arange(topics)
    errors_nK = (true_n[:, None] == topic_K).astype(np.float64) - (predicted_N[rows_n][:, None] == topic_K)
    corrected_K = predicted_K + (errors_nK / probability_n[:, None]).sum(axis=0) / documents
    weight_n = (1 - probability_n) / probability_n**2
    variance_K = ((weight_n[:, None] * errors_nK**2).sum(axis=0) + 2 * weight_n.mean()) / documents**2
    half_K = _Z * np.sqrt(variance_K)
    return Shares(predicted_K, corrected_K, np.maximum(corrected_K - half_K, 0), np.minimum(corrected_K + half_K, 1))
