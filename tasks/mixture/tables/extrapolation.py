"""Mixtures beyond what was measured: which they are, and how much less is known there.

A predictor is calibrated on runs among the others. Beyond their weights it may be as wrong as it likes, and its own standard
deviation does not tell. Axes: M mixtures, D domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# What half an interval grows by for a weight as far beyond the measured ones as these lie apart, in standard deviations of
# the measured objective. Measured here by fitting rows up to a quantile of one domain's weight (RegMix: 64 rows) and
# predicting those beyond: see the figures in docs/mixture.md.
_PER_RANGE = 2.0
_EXACT = 1e-9


@dataclass(frozen=True)
class MeasuredRange:
    """The smallest and largest weight that each domain had in any run, and how far the objective varied over the runs."""

    domains: tuple[str, ...]
    lower_D: Array
    upper_D: Array
    objective_sd: float

    @classmethod
    def of(cls, domains: Sequence[str], weights_RD: Array, objective_R: Array) -> "MeasuredRange":
        """Return the range of these runs."""
        return cls(tuple(domains), weights_RD.min(axis=0), weights_RD.max(axis=0), float(objective_R.std()))

    def beyond(self, weights_MD: Array) -> Array:
        """Return how far each weight lies outside the measured ones, shape [M, D]; 0 inside."""
        outside_MD = np.maximum(weights_MD - self.upper_D, self.lower_D - weights_MD)
        return np.where(outside_MD > _EXACT, outside_MD, 0.0)

    def widening(self, weights_MD: Array, prediction_M: Array) -> Array:
        """Return what half an interval grows by, shape [M]; 0 for mixtures inside.

        By twice the standard deviation of the measured objective for every range that a weight lies beyond: the next
        stretch of weights may do as much as the last one did, either way. Of a domain whose weight was never varied the
        table says nothing, and then it is the weight's share of the predicted loss; that is the most for every domain.
        The most uncertain domain counts.
        """
        beyond_MD, range_D = self.beyond(weights_MD), self.upper_D - self.lower_D
        ranges_MD = beyond_MD / np.maximum(range_D, _EXACT)
        most_MD = beyond_MD * np.abs(prediction_M)[:, None]
        return np.asarray(np.minimum(_PER_RANGE * self.objective_sd * ranges_MD, most_MD).max(axis=1))

    def warning(self, weights_MD: Array, lines: Sequence[int]) -> str | None:
        """Return a warning about mixtures outside, the first named by its line; None where all are inside."""
        beyond_MD = self.beyond(weights_MD)
        rows = np.flatnonzero(beyond_MD.any(axis=1))
        if not len(rows):
            return None
        first, domain = int(rows[0]), int(np.argmax(beyond_MD[rows[0]]))
        lower, upper = self.lower_D[domain], self.upper_D[domain]
        unvaried = bool(beyond_MD[:, self.upper_D - self.lower_D <= _EXACT].any())
        guess = "; of a domain whose weight never varied nothing is known" if unvaried else ""
        return (
            f"{len(rows)} of {len(weights_MD)} mixtures have a weight beyond what was measured (first: line {lines[first]}, "
            f"{self.domains[domain]} {weights_MD[first, domain]:.4g}, measured {lower:.4g} to {upper:.4g}). They are marked "
            f"`extrapolated`, and their intervals grow with the distance{guess}."
        )
