"""What makes a table of runs, or a fit to it, doubtful: told as warnings, never repaired. Axes: R runs, O losses."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.core.words import counted
from tasks.mixture.predictors.held_out import Score

if TYPE_CHECKING:
    from tasks.mixture.tables.fit import Measurements

Array = npt.NDArray[np.float64]

# On RegMix's and the mixing-laws tables no loss has more than 2.2 times the level of the others, or 3.8 times the spread.
_SCALE = 100.0
# Robust standard deviations from the median. The most extreme run of the same tables has 5.3.
_OUTLIER = 20.0
_MIN_RUNS = 5
# A normal's standard deviation, in median absolute deviations.
_PER_MAD = 1.4826
# Not `id` or `no`: those are languages.
_COUNTERS = re.compile(r"(global_?)?(steps?|epochs?|iter(ation)?s?|idx|rank|seed|timestamp)", re.IGNORECASE)


def warnings_of_table(measurements: "Measurements") -> tuple[str, ...]:
    """Return what is suspicious about the losses that make the target: columns that are none, and runs that diverged."""
    losses_RO = measurements.measured.losses_RO
    return (
        *_counters(measurements.columns, losses_RO),
        *_scales(measurements.columns, losses_RO),
        *_outliers(measurements),
    )


def warnings_of_fit(measurements: "Measurements", score: Score) -> tuple[str, ...]:
    """Return why a chosen predictor is no use, if it is none."""
    objective_R = measurements.measured.objective_R
    if beats_mean(score, objective_R):
        return ()
    return (
        f"no predictor beats the mean of the runs: on runs left out {score.name} has rmse {score.rmse:.4g} and rank "
        f"correlation {score.spearman:.3f}, while the runs' own standard deviation is {float(objective_R.std()):.4g}. "
        "Its predictions rank nothing: check the columns, leave out runs that diverged, or measure more.",
    )


def beats_mean(score: Score, objective_R: Array) -> bool:
    """Return whether a predictor knows runs it has not seen better than their mean does, and ranks them at all."""
    return bool(score.rmse < objective_R.std() and score.spearman > 0)


def _counters(columns: Sequence[str], losses_RO: Array) -> list[str]:
    counts_O = [_counts(losses_RO[:, place]) for place in range(len(columns))]
    found = [name for name, counts in zip(columns, counts_O, strict=True) if counts or _COUNTERS.fullmatch(name)]
    if not found:
        return []
    others = "" if len(found) == 1 else f" (and {counted(len(found) - 1, 'other column')})"
    return [
        f"column {found[0]}{others} is part of the target, but looks like a counter, not a loss. Leave it out of the "
        "table, or choose a column with --target."
    ]


def _counts(values_R: Array) -> bool:
    """Return whether the values are whole numbers that go up, or down, from row to row."""
    steps_R = np.diff(values_R)
    whole = len(values_R) >= _MIN_RUNS and bool((values_R == values_R.round()).all())
    return whole and bool((steps_R > 0).all() or (steps_R < 0).all())


def _scales(columns: Sequence[str], losses_RO: Array) -> list[str]:
    if len(columns) < 2:
        return []
    found: list[tuple[float, str, float, float]] = []
    measures = {"is typically": np.median(np.abs(losses_RO), axis=0), "varies by": _spread(losses_RO)}
    for measure, size_O in measures.items():
        for place, size in enumerate(size_O):
            others = float(np.median(np.delete(size_O, place)))
            if size > _SCALE * others > 0 or (measure == "is typically" and 0 < size < others / _SCALE):
                found.append(
                    (max(size / others, others / size), f"{columns[place]} {measure} {size:.4g}", float(size), others)
                )
    if not found:
        return []
    factor, measure, _, others = max(found)
    return [
        f"the columns of the mean differ in scale: {measure}, the others {others:.4g} ({factor:,.0f} times). The largest "
        "decide the mean alone: leave out what is no loss, or choose a column with --target."
    ]


def _outliers(measurements: "Measurements") -> list[str]:
    objective_R = measurements.measured.objective_R
    if len(objective_R) < _MIN_RUNS:
        return []
    off_R = np.abs(objective_R - np.median(objective_R))
    sd = _PER_MAD * float(np.median(off_R))
    far = np.flatnonzero(off_R > _OUTLIER * sd)
    if not (sd > 0 and len(far)):
        return []
    worst = int(far[np.argmax(off_R[far])])
    return [
        f"{counted(len(far), 'run')} of {len(objective_R)} lie more than {_OUTLIER:.0f} robust standard deviations from the "
        f"median {float(np.median(objective_R)):.4g}; worst: {measurements.places[worst]}, {objective_R[worst]:.4g}. Did it "
        "diverge? Measure it again, or leave it out of both tables."
    ]


def _spread(losses_RO: Array) -> Array:
    """Return the distance between the quartiles of every column."""
    low_O, high_O = np.quantile(losses_RO, [0.25, 0.75], axis=0)
    return np.asarray(high_O - low_O)
