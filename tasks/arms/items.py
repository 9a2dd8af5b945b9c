"""The doubt about the items of a task, apart from that about training: these runs, and other items of the same kind.

Axes: M models, I items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.evaluation.published import Interval
from tasks.evaluation.tasks.stage import MeasuredTasks

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemGain:
    """How much better an arm is than the baseline in the primary score of a task, with its interval over items."""

    arm: str
    task: str
    score: str
    items: int
    interval: Interval


def item_gains(
    scored: MeasuredTasks,
    models: Mapping[str, Sequence[str]],
    baseline: str,
    confidence: float,
) -> tuple[ItemGain, ...]:
    """Return the gains of every arm on every task, of items that all its models and the baseline's answered to.

    `models` are the names of each arm's models.
    """
    found = (
        _gain(scored, task, arm, names, models[baseline], confidence)
        for task in scored.items.tasks
        for arm, names in models.items()
        if arm != baseline
    )
    return tuple(one for one in found if one is not None)


def _gain(
    scored: MeasuredTasks, task: str, arm: str, ours: Sequence[str], theirs: Sequence[str], confidence: float
) -> ItemGain | None:
    told = scored.scores.models[0].tasks[task]
    score = told.primary
    columns = [scored.by_item[model, task] for model in (*ours, *theirs)]
    answered = [[one for one in each if one is not None] for each in zip(*columns, strict=True)]
    both = [each for each in answered if len(each) == len(columns)]
    if not both or score not in both[0][0].values:
        return None  # no item is left, or the score is of all items together
    values_IM = np.array([[one.values[score] for one in each] for each in both])
    sign = 1 if told.scores[score].direction == "higher" else -1
    gains_I = sign * (values_IM[:, : len(ours)].mean(axis=1) - values_IM[:, len(ours) :].mean(axis=1))
    weights_I = np.array([each[0].weight for each in both])
    return ItemGain(arm, task, score, len(both), item_interval(gains_I, weights_I, confidence))


def item_interval(gains_I: Array, weights_I: Array, confidence: float) -> Interval:
    """Return the weighted mean with its t interval; its error is sqrt(sum w^2 (x - mean)^2 n / (n - 1)) / sum w.

    >>> item_interval(np.array([1.0, 2.0, 3.0]), np.ones(3), 0.95).ends
    (-0.48413771..., 4.48413771...)
    """
    mean, number = float(np.average(gains_I, weights=weights_I)), len(gains_I)
    if number < 2:
        return Interval(gain=mean)
    squares = float((weights_I**2 * (gains_I - mean) ** 2).sum())
    error = (squares * number / (number - 1)) ** 0.5 / float(weights_I.sum())
    half = float(student.ppf(0.5 + confidence / 2, number - 1)) * error
    return Interval(gain=mean, lower=mean - half, upper=mean + half)
