"""From answers to scores: of items, of tasks, of weighted sets."""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.core.errors import EvidenceError
from tasks.evaluation.tasks.baselines import baseline_of, centred
from tasks.evaluation.tasks.fit import none_left
from tasks.evaluation.tasks.item import Direction, Item, ItemScores, Likelihood
from tasks.evaluation.tasks.kinds import TaskConfig, method
from tasks.evaluation.tasks.params import ScoreSetParams, task_in
from tasks.evaluation.tasks.published import Score, TaskScores
from tasks.evaluation.tasks.unit import Answered

_LOWER_IS_BETTER = frozenset({"bits_per_byte", "gold_bits_per_byte"})


def direction(score: str) -> Direction:
    """Return whether more of a score is better."""
    return "lower" if score in _LOWER_IS_BETTER else "higher"


def loss_of(score: str, value: float) -> float:
    """Return a score turned so that less is better: bits per byte as they are, -log p, and 1 - x of all others.

    >>> loss_of("gold_bits_per_byte", 2.0), loss_of("log_p_correct", -1.5), loss_of("accuracy", 0.75)
    (2.0, 1.5, 0.25)
    """
    if direction(score) == "lower":
        return value
    return -value if score == "log_p_correct" else 1 - value


def names_of(task: TaskConfig, item: Item) -> tuple[str, ...]:
    """Return the scores that a task has, as they are told of one of its items."""
    how = method(task)
    some = [0.0] if how.comparison is not None else [Likelihood(-1.0, 1, False)] * len(item.requests)
    return tuple(how.scores(task, item, some).values)


def item_scores(task: TaskConfig, answered: Sequence[Answered]) -> list[ItemScores | None]:
    """Return the scores of each item; None where it was left out."""
    how = method(task)
    return [None if one.answers is None else how.scores(task, one.item, one.answers) for one in answered]


def task_scores(name: str, task: TaskConfig, scored: Sequence[ItemScores | None]) -> TaskScores:
    """Return the scores of a task.

    Raises:
        EvidenceError: no item is left, or a score is no finite number.
    """
    found = [one for one in scored if one is not None]
    if not found:
        raise none_left(name, len(scored))
    weights_I = np.array([one.weight for one in found], dtype=np.float64)
    scores = {}
    for score in found[0].values:
        values_I = np.array([one.values[score] for one in found], dtype=np.float64)
        if lost := int((~np.isfinite(values_I)).sum()):
            raise EvidenceError(
                f"{name}: {score} of {lost} of {len(found)} items is no finite number: the model is broken."
            )
        scores[score] = _score(values_I, weights_I, direction(score))
    return TaskScores(items=len(found), left_out=len(scored) - len(found), primary=method(task).primary, scores=scores)


def score_set(params: ScoreSetParams, scored: Mapping[str, TaskScores]) -> Score:
    """Return the weighted mean of scores that tasks have, each turned so that more is better if any of them is so.

    Raises:
        ConfigError: the table of baselines has no such task, or a score is no accuracy.
    """
    values, directions = [], set[Direction]()
    for name in params.shares:
        found = task_in(name, scored)
        assert found is not None, "the scores of sets were looked for before"
        task, score = found
        one = scored[task].scores[score or scored[task].primary]
        value = one.value
        if params.baselines is not None:
            value = centred(value, baseline_of(params.baselines, task, score or scored[task].primary))
        values.append((value, one.direction))
        directions.add(one.direction)
    better: Direction = "lower" if directions == {"lower"} else "higher"
    turned = [value if which == better else -value for value, which in values]
    return Score(
        value=float(np.average(turned, weights=list(params.shares.values()))), standard_error=None, direction=better
    )


def _score(values_I: "np.ndarray", weights_I: "np.ndarray", better: Direction) -> Score:
    """Return mean and standard error over items; weighted: sqrt(sum w^2 (x - mean)^2 n / (n - 1)) / sum w."""
    mean, number = float(np.average(values_I, weights=weights_I)), len(values_I)
    if number < 2:
        return Score(value=mean, standard_error=None, direction=better)
    squares = float((weights_I**2 * (values_I - mean) ** 2).sum())
    error = (squares * number / (number - 1)) ** 0.5 / float(weights_I.sum())
    return Score(value=mean, standard_error=error, direction=better)
