"""A predictor for any table of runs: which one, how good on runs it had not seen, and predictions with intervals.

Axes: R measured rows, M mixtures to predict, D domains, O outputs (loss columns).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.mixture.noise import require_varied, run_noise
from tasks.mixture.predictors.choose import MIN_RUNS, NINETY, Choice, Selection, choose
from tasks.mixture.predictors.predictor import Measured
from tasks.mixture.runs import PREFIXES, RunTable
from tasks.mixture.tables.extrapolation import MeasuredRange
from tasks.mixture.tables.table import Table, check_repeats, check_varied, paired, weights_of

Array = npt.NDArray[np.float64]

MEAN = "mean"
OBJECTIVE = "objective"


@dataclass(frozen=True)
class Measurements:
    """What a predictor is fitted on: the domains, the runs, and which combination of losses is the target.

    `columns` name the losses, `places` say where each run stands, in words.
    """

    domains: tuple[str, ...]
    target: str
    measured: Measured
    columns: tuple[str, ...]
    places: tuple[str, ...]
    normalised: int = 0


@dataclass(frozen=True)
class Predictions:
    """The target of every mixture, and where a measurement of it lies with 90 % confidence; shapes [M].

    A measurement with the seed of the runs fitted: another seed may shift all mixtures alike, which ranks none of them.
    `extrapolated_M`: some weight lies beyond the measured ones, and the interval is wider than any measurement says.
    """

    prediction_M: Array
    lower_M: Array
    upper_M: Array
    extrapolated_M: npt.NDArray[np.bool_]

    def to_csv(self) -> str:
        """Return the columns prediction, lower, upper and extrapolated (true or false), in the order of the mixtures."""
        stream = io.StringIO()
        stream.write("prediction,lower,upper,extrapolated\n")
        numbers = zip(self.prediction_M.tolist(), self.lower_M.tolist(), self.upper_M.tolist(), strict=True)
        for row, extrapolated in zip(numbers, self.extrapolated_M.tolist(), strict=True):
            stream.write(",".join([*map(repr, row), str(extrapolated).lower()]) + "\n")
        return stream.getvalue()


@dataclass(frozen=True)
class TableFit:
    """A chosen predictor, calibrated by cross-validation; intervals are as wide as 90 % of the runs left out needed."""

    domains: tuple[str, ...]
    choice: Choice
    range: MeasuredRange

    @property
    def width(self) -> float:
        """Half an interval where the prediction is an average one, in standard deviations as fitted (noise included)."""
        return NINETY * self.choice.predictor.inflation

    def predict(self, weights_MD: Array) -> Predictions:
        """Return prediction and interval of every mixture, wider where a weight lies beyond the measured ones."""
        predictor = self.choice.predictor
        mean_M = predictor.mean(weights_MD)
        half_M = NINETY * predictor.measured_sd(weights_MD) + self.range.widening(weights_MD, mean_M)
        beyond_M = np.asarray(self.range.beyond(weights_MD).any(axis=1))
        return Predictions(mean_M, mean_M - half_M, mean_M + half_M, beyond_M)


def measurements_of_tables(mixtures: Table, losses: Table, target: str) -> Measurements:
    """Return what a pair of tables says about one loss column, or about the mean of them all.

    Raises:
        ConfigError: the target is no column.
        DataError: a mixture is not valid, or the same mixture was measured twice with other losses.
    """
    weights, losses = weights_of(mixtures), paired(mixtures, losses)
    chosen = _chosen(losses.columns, target, losses.path)
    if target == MEAN and target not in losses.columns:
        check_varied(losses)
    check_repeats(mixtures, weights.weights_RD, losses)
    measured = Measured(weights.weights_RD, losses.values_RC[:, chosen], _equal(len(chosen)))
    columns = tuple(losses.columns[place] for place in chosen)
    places = tuple(map(losses.place, range(len(losses.lines))))
    return Measurements(mixtures.columns, target, measured, columns, places, weights.normalised)


def measurements_of_runs(runs: RunTable, target: str, where: str) -> Measurements:
    """Return what a search's own table says: its objective, the mean over held-out sets, or the loss of one.

    The rows that share the first row's size and seed are fitted; other seeds of that size tell the noise (`run_noise`).

    Raises:
        ConfigError: the target is neither a held-out set nor a known combination.
        DataError: the table is empty.
    """
    if target == OBJECTIVE:
        rows = tuple(replace(row, losses=(row.objective,)) for row in runs.rows)
        return measurements_of_averages(averaged(replace(runs, sets=(OBJECTIVE,), rows=rows), where), target, where)
    chosen = _chosen(runs.sets, target.removeprefix(PREFIXES[runs.unit]), where)
    sets = tuple(runs.sets[place] for place in chosen)
    rows = tuple(replace(row, losses=tuple(row.losses[place] for place in chosen)) for row in runs.rows)
    return measurements_of_averages(averaged(replace(runs, sets=sets, rows=rows), where), target, where)


def averaged(runs: RunTable, where: str) -> RunTable:
    """Return the runs of the first row's size, their objective the mean over all held-out sets, whatever it was.

    Raises:
        DataError: the table is empty.
    """
    if not runs.rows:
        raise DataError(f"{where}: there are no runs in it. Run search again.")
    runs = runs.at(*runs.rows[0].fidelity)
    means = (runs.losses_RS() @ _equal(len(runs.sets))).tolist()
    return replace(runs, rows=tuple(replace(row, objective=mean) for row, mean in zip(runs.rows, means, strict=True)))


def measurements_of_averages(runs: RunTable, target: str, where: str) -> Measurements:
    """Return what runs from `averaged` say about the mean over their held-out sets, which is called `target`."""
    rows = runs.paired(runs.rows[0].seed)
    measured = Measured(rows.weights_RD(), rows.losses_RS(), _equal(len(runs.sets)), run_noise(runs))
    places = tuple(f"{where}, run {row.run}" for row in rows.rows)
    return Measurements(runs.domains, target, measured, runs.sets, places)


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
    require_varied(objective_R, f"the target {measurements.target}")
    measured_range = MeasuredRange.of(measurements.domains, measured.weights_RD, objective_R)
    return TableFit(measurements.domains, choose(selection, measured), measured_range)


def _chosen(columns: Sequence[str], target: str, where: str) -> list[int]:
    """Return the places of the losses whose mean is the target; a column called `mean` is that column alone."""
    if target in columns:
        return [columns.index(target)]
    if target != MEAN:
        raise ConfigError(f"{where}: there is no column {target}. There are: {MEAN} (of all), {', '.join(columns)}.")
    return list(range(len(columns)))


def _equal(count: int) -> Array:
    return np.full(count, 1 / count)
