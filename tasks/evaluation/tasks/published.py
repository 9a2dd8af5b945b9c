"""What was measured on tasks: scores of every model, and what it answered to every item."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published
from tasks.evaluation.tasks.item import Direction


class Score(Model):
    """A score of one model: the mean over items, and its standard error over them (None for one item, or a set).

    That is the doubt about the items, not about the training: other seeds give other models.
    """

    value: float
    standard_error: float | None
    direction: Direction


class TaskScores(Model):
    """The scores of one model on one task, by name. `left_out` items were longer than the model's context."""

    items: PositiveInt
    left_out: NonNegativeInt
    primary: str
    scores: Mapping[str, Score]


class ScoredModel(Model):
    """The scores of one model by task, and of sets of scores."""

    model: str
    tasks: Mapping[str, TaskScores]
    score_sets: Mapping[str, Score]


class Scores(Published):
    """The scores of every model, those of lm-evaluation-harness too where its results were taken in.

    `identities` are the digests of what each task is (its file and how it is asked) and of what each set of scores is (its
    tasks, weights and baselines): scores are comparable where they are the same.
    """

    FILE: ClassVar[str] = "scores.json"

    format: Literal[1] = 1
    identities: Mapping[str, str]
    models: tuple[ScoredModel, ...]


class AnsweredItem(Model):
    """One item: its id and line in the file, which request is right, and the scores of each model by name.

    `gold` is null for items of lm-evaluation-harness, which are told by its samples.
    """

    id: str
    line: PositiveInt
    gold: NonNegativeInt | None
    scores: Mapping[str, Mapping[str, float]]


class TaskItems(Published):
    """The items of every task that all models answered to, in the order of the file."""

    FILE: ClassVar[str] = "items.json"

    format: Literal[1] = 1
    tasks: Mapping[str, tuple[AnsweredItem, ...]]
