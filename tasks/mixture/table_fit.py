"""A predictor for any table of runs: which one, how good on runs it had not seen, and predictions with intervals.

Axes: R measured rows, M mixtures to predict, D domains, O outputs (loss columns).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.mixture.predictors.choose import MIN_RUNS, NINETY, Choice, Selection, choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.runs import PREFIXES, Runs
from tasks.mixture.table import Table, check_repeats, check_varied, paired, weights_of

Array = npt.NDArray[np.float64]

MEAN = "mean"
OBJECTIVE = "objective"


@dataclass(frozen=True)
class Measurements:
    """What a predictor is fitted on: the domains, the runs, and which combination of losses is the target."""

    domains: tuple[str, ...]
    target: str
    measured: Measured
    normalised: int = 0


@dataclass(frozen=True)
class Predictions:
    """The target of every mixture, and where a measurement of it lies with 90 % confidence; shapes [M]."""

    prediction_M: Array
    lower_M: Array
    upper_M: Array

    def to_csv(self) -> str:
        """Return the columns prediction, lower and upper; rows in the order of the mixtures."""
        stream = io.StringIO()
        stream.write("prediction,lower,upper\n")
        for row in zip(self.prediction_M.tolist(), self.lower_M.tolist(), self.upper_M.tolist(), strict=True):
            stream.write(",".join(map(repr, row)) + "\n")
        return stream.getvalue()


@dataclass(frozen=True)
class TableFit:
    """A chosen predictor, calibrated by cross-validation; intervals are as wide as 90 % of the runs left out needed."""

    domains: tuple[str, ...]
    choice: Choice

    @property
    def width(self) -> float:
        """Half an interval where the prediction is an average one, in standard deviations as fitted (noise included)."""
        return NINETY * self.choice.predictor.inflation

    def predict(self, weights_MD: Array) -> Predictions:
        """Return prediction and interval of every mixture."""
        predictor = self.choice.predictor
        mean_M = predictor.mean(weights_MD)
        half_M = NINETY * predictor.measured_sd(weights_MD)
        return Predictions(mean_M, mean_M - half_M, mean_M + half_M)


def measurements_of_tables(mixtures: Table, losses: Table, target: str) -> Measurements:
    """Return what a pair of tables says about one loss column, or about the mean of them all.

    Raises:
        DataError: the target is no column, a mixture is not valid, or the same mixture was measured twice.
    """
    weights, losses = weights_of(mixtures), paired(mixtures, losses)
    losses_RO, objective_O = _target(losses.columns, losses.values_RC, target, losses.path)
    if target == MEAN and target not in losses.columns:
        check_varied(losses)
    check_repeats(mixtures, weights.weights_RD, losses)
    measured = Measured(weights.weights_RD, losses_RO, objective_O)
    return Measurements(mixtures.columns, target, measured, weights.normalised)


def measurements_of_runs(runs: Runs, target: str, where: str) -> Measurements:
    """Return what a search's own table says: its objective, the mean over held-out sets, or the loss of one.

    The rows that share the first row's size and seed are fitted; other seeds of that size tell the noise.

    Raises:
        DataError: the table is empty, or the target is neither a held-out set nor a known combination.
    """
    if not runs.rows:
        raise DataError(f"{where}: there are no runs in it. Run search again.")
    runs = runs.at(*runs.rows[0].fidelity)
    rows = runs.paired(runs.rows[0].seed)
    if target == OBJECTIVE:
        losses_RO, objective_O = np.array([[row.objective] for row in rows.rows]), np.ones(1)
    else:
        losses_RO, objective_O = _target(runs.sets, rows.losses_RS(), target.removeprefix(PREFIXES[runs.unit]), where)
    noise_sd = _retargeted(runs, target, objective_O).noise_sd()
    return Measurements(runs.domains, target, Measured(rows.weights_RD(), losses_RO, objective_O, noise_sd))


def fit_table(selection: Selection, measurements: Measurements) -> TableFit:
    """Choose a predictor by cross-validation and fit it to all runs.

    Raises:
        EvidenceError: fewer runs than are needed to choose.
        DataError: the target is the same in all runs.
    """
    measured = measurements.measured
    objective_R = measured.objective_R
    if len(objective_R) < MIN_RUNS:
        raise EvidenceError(
            f"{len(objective_R)} measured mixtures are too few to predict others; at least {MIN_RUNS} are needed. "
            f"Measure {MIN_RUNS - len(objective_R)} more."
        )
    if not np.ptp(objective_R) > 1e-9 * max(1.0, float(np.abs(objective_R).max())):
        raise DataError(
            f"the target {measurements.target} is {objective_R[0]:g} in all {len(objective_R)} runs, so there is "
            "nothing to learn. Check the column, or measure mixtures that differ."
        )
    return TableFit(measurements.domains, choose(selection, measured))


def _target(columns: Sequence[str], values_RC: Array, target: str, where: str) -> tuple[Array, Array]:
    """Return the losses that make up the target, shape [R, O], and their shares of it."""
    if target in columns:
        return values_RC[:, [columns.index(target)]], np.ones(1)
    if target != MEAN:
        raise ConfigError(f"{where}: there is no column {target}. There are: {MEAN} (of all), {', '.join(columns)}.")
    return values_RC, np.full(len(columns), 1 / len(columns))


def _retargeted(runs: Runs, target: str, objective_O: Array) -> Runs:
    """Return the runs with the target as their objective, so that the noise is that of the target."""
    if target == OBJECTIVE:
        return runs
    chosen = range(len(runs.sets)) if target == MEAN else [runs.sets.index(target.removeprefix(PREFIXES[runs.unit]))]
    values = [float(np.array(row.losses)[list(chosen)] @ objective_O) for row in runs.rows]
    rows = tuple(replace(row, objective=value) for row, value in zip(runs.rows, values, strict=True))
    return replace(runs, rows=rows)
