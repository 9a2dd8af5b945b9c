"""What contamination did to scores: items with and without, and the score against log(1 + exposure).

Axes: I items, R runs, U units (items or domains).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.evaluation.published_contamination import Estimate, ExposureGroup, SplitScore
from tasks.evaluation.tasks.item import ItemScores
from tasks.evaluation.tasks.kinds import TaskConfig
from tasks.evaluation.tasks.published import TaskScores
from tasks.evaluation.tasks.scores import task_scores

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Of fewer units that differ in exposure no slope is told, and of fewer items no difference; guesses.
FEWEST_ITEMS, FEWEST_DOMAINS = 10, 3
# What rounding leaves of a sum of squares.
_ROUNDING = 1e-12


def split_scores(
    name: str, task: TaskConfig, scored: Sequence[ItemScores], contaminated_I: Flags, confidence: float
) -> dict[str, SplitScore]:
    """Return every score of a task with and without the contaminated items."""
    whole = task_scores(name, task, scored)
    parts = []
    for chosen_I in (~contaminated_I, contaminated_I):
        own = [one for one, chosen in zip(scored, chosen_I, strict=True) if chosen]
        parts.append(task_scores(name, task, own) if own else None)
    without, contaminated = parts
    return {
        score: SplitScore(
            all=whole.scores[score],
            without_contaminated=None if without is None else without.scores[score],
            contaminated=None if contaminated is None else contaminated.scores[score],
            difference=difference(contaminated, without, score, confidence),
        )
        for score in whole.scores
    }


def difference(first: TaskScores | None, second: TaskScores | None, score: str, confidence: float) -> Estimate | None:
    """Return a score of some items less that of others, by Welch's t over items; None where a group has too few."""
    groups = [one for one in (first, second) if one is not None and one.items >= FEWEST_ITEMS]
    if len(groups) < 2:
        return None
    numbers = np.array([one.items for one in groups])
    squares = np.array([one.scores[score].standard_error or 0.0 for one in groups]) ** 2
    if not squares.sum() > 0:
        return None
    value = groups[0].scores[score].value - groups[1].scores[score].value
    degrees = squares.sum() ** 2 / (squares**2 / (numbers - 1)).sum()
    reach = float(student.ppf((1 + confidence) / 2, degrees) * squares.sum() ** 0.5)
    return Estimate(value=value, lower=value - reach, upper=value + reach, units=groups[0].items)


def exposure_groups(
    name: str, task: TaskConfig, scored: Sequence[ItemScores], exposure_I: Floats
) -> tuple[ExposureGroup, ...]:
    """Return items in groups by exposure: 0, up to 1, 2, 4, 8, ...; groups without items are left out."""
    found = []
    for above, up_to in _limits(float(exposure_I.max(initial=0))):
        places = np.flatnonzero((exposure_I > above) & (exposure_I <= up_to))
        if places.size:
            own = task_scores(name, task, [scored[place] for place in places.tolist()])
            score, mean = own.scores[own.primary], float(exposure_I[places].mean())
            found.append(ExposureGroup(above=above, up_to=up_to, items=places.size, exposure=mean, score=score))
    return tuple(found)


def _limits(highest: float) -> Iterator[tuple[float, float]]:
    above, up_to = -1.0, 0.0
    while above < highest:
        yield above, up_to
        above, up_to = up_to, max(2 * up_to, 1.0)


def slope_over_items(exposure_I: Floats, values_I: Floats, confidence: float) -> Estimate | None:
    """Return the slope of a score over log(1 + exposure) from item to item, see `slope_between`."""
    logs_I = np.log1p(exposure_I)
    centred = [(numbers - numbers.mean())[:, None] for numbers in (logs_I, values_I)]
    return _slope(*centred, varying=exposure_I > 0, fewest=FEWEST_ITEMS, confidence=confidence)


def slope_across_runs(exposure_UR: Floats, values_UR: Floats, fewest: int, confidence: float) -> Estimate | None:
    """Return the slope of a score over log(1 + exposure) within units, from run to run.

    Means of units and of runs are taken out (two-way fixed effects): neither that some items are easier nor that some runs
    are better counts.
    """
    logs_UR = np.log1p(exposure_UR)
    centred = [
        numbers - numbers.mean(axis=1, keepdims=True) - numbers.mean(axis=0) + numbers.mean()
        for numbers in (logs_UR, values_UR)
    ]
    varying_U = np.ptp(logs_UR, axis=1) > _ROUNDING if logs_UR.size else np.zeros(len(logs_UR), dtype=np.bool_)
    return _slope(*centred, varying=varying_U, fewest=fewest, confidence=confidence)


def _slope(x_UR: Floats, y_UR: Floats, *, varying: Flags, fewest: int, confidence: float) -> Estimate | None:
    """Return the slope through centred points; its error is the jackknife's over units, each left out with all its points.

    The degrees of freedom are those of the units that differ in exposure: many units that were never seen say little about
    the slope. None where those are fewer than `fewest`, or all differ alike.
    """
    number, products_U, squares_U = int(varying.sum()), (x_UR * y_UR).sum(axis=1), (x_UR**2).sum(axis=1)
    if number < fewest or not squares_U.sum() > _ROUNDING:
        return None
    value = float(products_U.sum() / squares_U.sum())
    without_U = (products_U.sum() - products_U) / (squares_U.sum() - squares_U)
    units = len(products_U)
    error = float(np.sqrt((units - 1) / units * ((without_U - value) ** 2).sum()))
    reach = float(student.ppf((1 + confidence) / 2, number - 1)) * error
    return Estimate(value=value, lower=value - reach, upper=value + reach, units=number)
