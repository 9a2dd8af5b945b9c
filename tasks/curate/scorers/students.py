"""Students: linear models over words and pairs of words, which learn from few rated texts and score any number.

A feature is the share that a bucket has among the hashed words and pairs of a text, over the root of its mean share among
the texts that are learned from: rare words count for more, as in TF-IDF. A score is a mean over the words of a text, so
that the score of a document is that of its chunks, weighted by their words. Axes: N texts, B buckets, K scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.threads import one_thread
from tasks.curate.scorers.hashed_ngrams import bucket_rows
from tasks.curate.statistics.texts import texts_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Keeps a bucket that was seen once from deciding alone. Of 1e-5, 1e-4, 1e-3 and 1e-2 the second was best or second best at
# telling texts with 0 to 100 % of their words shuffled, over 14 sources and over prose alone.
_FLOOR = 1e-4
# Of 0.3, 1, 3 and 10, which differed by less than 0.01 in rank correlation there.
_PENALTY = 1.0
_STEPS = 200
_FILE = "student.npz"


@dataclass(frozen=True)
class Student:
    """`score = shares @ weights_BK + intercept_K`."""

    weights_BK: NDArray[np.float32]
    intercept_K: Floats

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return float64 [N, K], NaN where a text has no word."""
        return self.of_shares(shares(texts, len(self.weights_BK)))

    def of_shares(self, shares_NB: Any) -> Floats:
        """Return the scores of texts of which the shares of buckets are known."""
        found: Floats = shares_NB @ self.weights_BK.astype(np.float64) + self.intercept_K
        found[np.diff(shares_NB.indptr) == 0] = np.nan
        return found

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        np.savez_compressed(folder / _FILE, weights=self.weights_BK, intercept=self.intercept_K)

    @staticmethod
    def read(folder: Path) -> "Student":
        """Return the student that was written into a folder."""
        with np.load(folder / _FILE, allow_pickle=False) as found:
            return Student(found["weights"], found["intercept"])


def shares(texts: Sequence[str], num_buckets: int) -> Any:
    """Return the share of each bucket among the words and pairs of each text, a sparse matrix [N, B]."""
    from scipy.sparse import csr_array

    ends, buckets, counts = bucket_rows(texts_of(texts), num_buckets)
    words_N = np.add.reduceat(np.append(counts, 0), ends[:-1]) * (np.diff(ends) > 0)
    values = counts / np.repeat(words_N, np.diff(ends))
    return csr_array((values, buckets, ends), shape=(len(texts), num_buckets))


def scales(shares_NB: Any) -> Floats:
    """Return what each feature is multiplied by, float64 [B]."""
    mean_B = np.asarray(shares_NB.mean(axis=0)).ravel()
    found: Floats = 1 / np.sqrt(mean_B + _FLOOR)
    return found


def regress(shares_NB: Any, targets_NK: Floats) -> Student:
    """Return the ridge regression of targets on features; a target that is NaN is not learned from.

    A score whose targets are all NaN stays NaN.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import lsqr

    scale_B = scales(shares_NB)
    features_NB = (shares_NB @ diags_array(scale_B)).tocsr()
    weights_BK = np.zeros((features_NB.shape[1], targets_NK.shape[1]), np.float32)
    intercept_K = np.full(targets_NK.shape[1], np.nan)
    for k, target_N in enumerate(targets_NK.T):
        known = np.flatnonzero(~np.isnan(target_N))
        if not len(known):
            continue
        intercept_K[k] = target_N[known].mean()
        with one_thread():
            found = lsqr(features_NB[known], target_N[known] - intercept_K[k], damp=_PENALTY**0.5, iter_lim=_STEPS)
        weights_BK[:, k] = found[0] * scale_B
    return Student(weights_BK, intercept_K)


def compare(shares_NB: Any, first_P: Ints, second_P: Ints, chance_P: Floats, penalty: float) -> Student:
    """Return the scores whose differences tell with which chance the first text of a pair is the better one.

    Bradley and Terry 1952: the chance is the logistic function of the difference. Fitted by least cross-entropy with a
    penalty on the squares of weights.
    """
    from scipy.optimize import minimize
    from scipy.sparse import diags_array
    from scipy.special import expit

    scale_B = scales(shares_NB)
    features_NB = (shares_NB @ diags_array(scale_B)).tocsr()
    differences_PB = (features_NB[first_P] - features_NB[second_P]).tocsr()
    transposed = differences_PB.T.tocsr()

    def loss(weights_B: Floats) -> tuple[float, Floats]:
        logit_P = differences_PB @ weights_B
        value = np.sum(np.logaddexp(0, logit_P) - chance_P * logit_P) + penalty / 2 * np.sum(weights_B**2)
        return float(value), transposed @ (expit(logit_P) - chance_P) + penalty * weights_B

    with one_thread():
        found = minimize(loss, np.zeros(features_NB.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return Student((found.x * scale_B).astype(np.float32)[:, None], np.zeros(1))
