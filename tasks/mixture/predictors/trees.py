"""LightGBM as RegMix and CLIMB set it: boosted trees on raw weights, an ensemble for the objective.

Their released code (sail-sg/regmix; NVIDIA-NeMo/Curator's tutorial of CLIMB), except that RegMix's early stop looks at a
tenth of the training rows, where the released notebook looks at the test rows.

Axes: R runs, M mixtures, D domains, O outputs.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.core.params import Params
from tasks.core.rng import generator
from tasks.mixture.predictors.left_out import LeftOutErrors
from tasks.mixture.predictors.predictor import Array, Measured, Predictor

_NUM_TREES = 1000
_COMMON: dict[str, Any] = {
    "objective": "regression",
    "metric": ["l1", "l2"],
    "learning_rate": 0.01,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_CLIMB: dict[str, Any] = {"reg_alpha": 1.0, "reg_lambda": 1.0, "max_depth": 4, "min_child_samples": 5}
# CLIMB's targets are accuracies in percent; its penalties mean something else on losses.
_CLIMB_SCALE = 100.0
_REGMIX_PATIENCE, _CLIMB_PATIENCE = 3, 20
_HELD_OUT = 0.1


class Lightgbm(Params):
    """`settings` is whose; `seed` draws the tenth of the rows that stops the training early."""

    kind: Literal["lightgbm"] = "lightgbm"
    settings: Literal["regmix", "climb"] = "regmix"
    seed: int = 42


@dataclass(frozen=True)
class Ensemble:
    """A trained booster, and what its target was multiplied by."""

    booster: Any
    scale: float

    def predict(self, weights_MD: Array) -> Array:
        """Return predictions in the unit of the target, shape [M]."""
        return np.asarray(self.booster.predict(weights_MD)) / self.scale


@dataclass(frozen=True)
class Trees:
    """Ensembles for the objective and, when they are asked for, for every output."""

    params: Lightgbm
    measured: Measured

    def objective(self, weights_MD: Array) -> Array:
        """Return the objective of every mixture, shape [M]."""
        return self._of_objective.predict(weights_MD)

    def mean(self, weights_MD: Array) -> Array:
        """Return the loss of every mixture and output, shape [M, O].

        Ensembles of outputs do not quite add up to that of the objective; what is missing is added to all alike.
        """
        objective_O = self.measured.objective_O
        outputs_MO = np.column_stack([ensemble.predict(weights_MD) for ensemble in self._of_outputs])
        missing_M = self.objective(weights_MD) - outputs_MO @ objective_O
        return np.asarray(outputs_MO + missing_M[:, None] / objective_O.sum())

    @cached_property
    def _of_objective(self) -> Ensemble:
        return train(self.params, self.measured.weights_RD, self.measured.objective_R)

    @cached_property
    def _of_outputs(self) -> list[Ensemble]:
        return [train(self.params, self.measured.weights_RD, loss_R) for loss_R in self.measured.losses_RO.T]


def fit_lightgbm(params: Lightgbm, measured: Measured) -> Predictor:
    """Fit an ensemble to the objective."""
    trees = Trees(params, measured)
    # The errors are of the objective alone; its refits need no ensembles of outputs.
    objective = Measured(measured.weights_RD, measured.objective_R[:, None], np.ones(1), measured.noise_sd)
    errors = LeftOutErrors(partial(_one_output, params), objective)
    return Predictor(params.kind, trees, errors, measured.objective_O, objective=trees.objective)


def _one_output(params: Lightgbm, measured: Measured) -> Trees:
    return Trees(params, measured)


def train(params: Lightgbm, weights_RD: Array, target_R: Array) -> Ensemble:
    """Train on nine tenths of the rows, stopped by the rest. Deterministic, one thread."""
    import lightgbm

    rest, stop = stopping_rows(params, len(target_R))
    climb = params.settings == "climb"
    scale = _CLIMB_SCALE if climb else 1.0
    settings = {**_COMMON, **(_CLIMB if climb else {}), "seed": params.seed}
    patience = min(_CLIMB_PATIENCE, len(stop)) if climb else _REGMIX_PATIENCE
    training, stopping = (
        lightgbm.Dataset(weights_RD[rows], scale * target_R[rows], params={"verbosity": -1}, free_raw_data=False)
        for rows in (rest, stop)
    )
    callbacks: list[Any] = [lightgbm.early_stopping(patience, verbose=False)]
    booster = lightgbm.train(settings, training, _NUM_TREES, valid_sets=[stopping], callbacks=callbacks)
    return Ensemble(booster, scale)


def stopping_rows(params: Lightgbm, runs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows that are trained on, and the tenth (at least one) that says when to stop."""
    order = generator(params.seed, "lightgbm", runs).permutation(runs)
    held_out = int(np.ceil(_HELD_OUT * runs))
    return order[held_out:], order[:held_out]
