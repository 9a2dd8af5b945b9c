"""A predictor for any table of runs: which one, how good on runs it had not seen, and predictions with intervals.

Axes: R measured rows, M mixtures to predict, D domains, O outputs (loss columns).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.mixture.predictors.choose import MIN_RUNS, Choice, Selection, choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.runs import Runs
from tasks.mixture.table import Table, paired, weights_of

Array = npt.NDArray[np.float64]

MEAN = "mean"
OBJECTIVE = "objective"
CONFIDENCE = 0.9


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
    """A chosen predictor. An interval is `width` standard deviations (noise included) on either side.

    `width` is the smallest that held 90 % of the runs left out in cross-validation, counted as conformal prediction
    does (rank ceil(.9 (R + 1)) of R): the standard deviations of a law ignore the doubt about the law.
    """

    domains: tuple[str, ...]
    choice: Choice
    width: float

    def predict(self, weights_MD: Array) -> Predictions:
        """Return prediction and interval of every mixture."""
        predictor = replace(self.choice.predictor, inflation=1.0)
        mean_M = predictor.mean(weights_MD)
        half_M = self.width * np.hypot(predictor.sd(weights_MD), predictor.noise_sd)
        return Predictions(mean_M, mean_M - half_M, mean_M + half_M)


def measurements_of_tables(mixtures: Table, losses: Table, target: str) -> Measurements:
    """Return what a pair of tables says about one loss column, or about the mean of them all.

    Raises:
        DataError: the target is no column, a mixture is not valid, or the same mixture was measured twice.
    """
    weights, losses = weights_of(mixtures), paired(mixtures, losses)
    losses_RO, objective_O = _target(losses.columns, losses.values_RC, target, losses.path)
    measured = Measured(weights.weights_RD, losses_RO, objective_O)
    _check_repeats(mixtures, measured)
    return Measurements(mixtures.columns, target, measured, weights.normalised)


def measurements_of_runs(runs: Runs, target: str, where: str) -> Measurements:
    """Return what a search's own table says: its objective, the mean over domains, or one domain's bits per byte.

    The rows that share the first row's seed are fitted; the others tell the noise between seeds.

    Raises:
        DataError: the table is empty, or the target is neither a domain nor a known combination.
    """
    if not runs.rows:
        raise DataError(f"{where}: there are no runs in it. Run search again.")
    rows = runs.paired(runs.rows[0].seed)
    if target == OBJECTIVE:
        losses_RO, objective_O = np.array([[row.objective] for row in rows.rows]), np.ones(1)
    else:
        losses_RO, objective_O = _target(runs.domains, rows.bpb_RD(), target.removeprefix("bpb:"), where)
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
    choice = choose(selection, measured)
    z_R = np.abs(objective_R - choice.score.predicted_R) / choice.score.sd_R
    rank = min(int(np.ceil(CONFIDENCE * (len(z_R) + 1))), len(z_R))
    return TableFit(measurements.domains, choice, float(np.sort(z_R)[rank - 1]))


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
    chosen = range(len(runs.domains)) if len(objective_O) > 1 else [runs.domains.index(target.removeprefix("bpb:"))]
    values = [float(np.array(row.bpb)[list(chosen)] @ objective_O) for row in runs.rows]
    rows = tuple(replace(row, objective=value) for row, value in zip(runs.rows, values, strict=True))
    return replace(runs, rows=rows)


def _check_repeats(mixtures: Table, measured: Measured) -> None:
    """Refuse a mixture that stands twice with other losses: nobody can say which one holds, or what the noise is."""
    first: dict[bytes, int] = {}
    for row, weights_D in enumerate(measured.weights_RD.round(9)):
        same = first.setdefault(weights_D.tobytes(), row)
        if not np.array_equal(measured.losses_RO[same], measured.losses_RO[row]):
            raise DataError(
                f"{mixtures.place(row)}: the same mixture as line {mixtures.lines[same]}, but other losses. Average "
                "runs with several seeds into one row, or leave the wrong one out of both tables."
            )
