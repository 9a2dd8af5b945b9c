"""What strategies see and give: the runs so far with what a predictor makes of them, and the mixtures they propose.

Axes: M mixtures, P believed mixtures, D domains, S held-out sets.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tasks.core.errors import EvidenceError
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.problem import Problem, filled, gridded
from tasks.mixture.runs import RunTable

Array = npt.NDArray[np.float64]

# How far from the brink of a constraint an optimiser stays, in the unit of the losses: the grid may take it nearer.
MARGIN = 2e-4


class Predicts(Protocol):
    """What strategies ask of a predictor (tasks.mixture.predictors.predictor says what it means)."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def noise_sd(self) -> float: ...  # noqa: D102
    def outputs(self, weights_MD: Array, /) -> Array: ...  # noqa: D102
    def mean(self, weights_MD: Array, /) -> Array: ...  # noqa: D102
    def sd(self, weights_MD: Array, /) -> Array: ...  # noqa: D102
    def gain(self, weights_MD: Array, reference_D: Array, /) -> tuple[Array, Array]: ...  # noqa: D102
    def kriging_believer(self, weights_PD: Array, /) -> "Predicts": ...  # noqa: D102


@dataclass(frozen=True)
class Evidence:
    """Runs with one seed and of one size, each mixture once; what the chosen predictor makes of them, if one was fitted.

    `noise_sd` is the objective's standard deviation in one run, without what its seed does to all mixtures alike; None
    where nothing was repeated.
    """

    runs: RunTable
    predictor: Predicts | None = None
    noise_sd: float | None = None

    def measured(self, problem: Problem) -> Measured:
        """Return the runs as a predictor takes them."""
        return Measured(self.runs.weights_RD(), self.runs.losses_RS(), problem.objective_S, self.noise_sd)

    def fitted(self, strategy: str) -> Predicts:
        """Return the predictor.

        Raises:
            EvidenceError: there is none, and `strategy` needs one.
        """
        if self.predictor is None:
            raise EvidenceError(
                f"strategy {strategy}: no predictor was fitted to the {len(self.runs.rows)} runs. Measure the first round."
            )
        return self.predictor


def under_caps(weights_D: Array, caps_D: Array) -> tuple[Array, float]:
    """Return the weights on the grid and under the caps, and how much weight had to move for the caps (0 to 1).

    What is above a cap goes to the other domains with a share, in proportion; where those are full, to all others.
    """
    if not (weights_D > caps_D + 1e-12).any():
        return gridded(weights_D, caps_D), 0.0
    # A trace for every domain: those with a share may be full before the sum is 1.
    kept_D = filled(weights_D + 1e-9 * (caps_D > 0), caps_D)
    return gridded(kept_D, caps_D), float(np.maximum(weights_D - caps_D, 0.0).sum())


def brought_in(problem: Problem, weights_D: Array) -> tuple[Array, float]:
    """Return the weights on the grid, under the caps of a recipe and within its limits, and how much had to move."""
    kept_D, moved = under_caps(weights_D, problem.caps_D)
    if problem.allows(kept_D[None])[0]:
        return kept_D, moved
    found_D = problem.gridded(kept_D)
    return found_D, moved + float(np.maximum(kept_D - found_D, 0.0).sum())


def excess(problem: Problem, predictor: Predicts, weights_MD: Array, margin: float = 0.0) -> Array:
    """Return by how much mixtures are predicted to break the constraints, summed over sets, shape [M]; 0 = kept.

    An optimiser that goes to the brink asks for a `margin`, so that rounding to the grid does not take it beyond.
    """
    if not problem.constraints:
        return np.zeros(len(weights_MD))
    sets = [constraint.set for constraint in problem.constraints]
    most_S = np.array([constraint.max_increase for constraint in problem.constraints])
    losses_MS = predictor.outputs(np.vstack([weights_MD, problem.natural]))[:, sets]
    return np.asarray(np.maximum(losses_MS[:-1] - losses_MS[-1] - most_S + margin, 0.0).sum(axis=1))
