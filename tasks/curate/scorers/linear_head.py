"""Ridge regression on vectors, and a prediction that does not depend on the documents around one.

Axes: N documents, D dimensions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_FILE = "head.npz"


@dataclass(frozen=True)
class LinearHead:
    """A prediction is `intercept` plus the sum of products with `weights_D`."""

    weights_D: Floats
    intercept: float


def fit(vectors_ND: npt.NDArray[np.float32], labels_N: Floats, ridge: float) -> LinearHead:
    """Return the head with the least mean squared error plus its squared weights times `ridge` times the mean variance.

    Its intercept is free.
    """
    means_D, mean = vectors_ND.mean(axis=0, dtype=np.float64), float(labels_N.mean())
    centred_ND = vectors_ND.astype(np.float64) - means_D
    gram_DD = centred_ND.T @ centred_ND / len(centred_ND)
    penalty = ridge * float(np.trace(gram_DD)) / len(means_D)
    weights_D = np.linalg.solve(
        gram_DD + penalty * np.eye(len(means_D)), centred_ND.T @ (labels_N - mean) / len(centred_ND)
    )
    return LinearHead(weights_D, mean - float(means_D @ weights_D))


def predict(head: LinearHead, vectors_ND: npt.NDArray[np.float32]) -> Floats:
    """Return the prediction for every vector, NaN where it is 0; each row is summed alone, always in the same order."""
    found_N: Floats = (vectors_ND.astype(np.float64) * head.weights_D).sum(axis=1) + head.intercept
    found_N[~vectors_ND.any(axis=1)] = np.nan
    return found_N


def save(head: LinearHead, folder: Path) -> None:
    """Write a head into a folder."""
    np.savez(folder / _FILE, weights=head.weights_D, intercept=head.intercept)


def load(folder: Path) -> LinearHead:
    """Read the head that `save` wrote."""
    with np.load(folder / _FILE, allow_pickle=False) as found:
        return LinearHead(found["weights"], float(found["intercept"]))
