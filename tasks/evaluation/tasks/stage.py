"""Tasks put to models: units over parts of their items, and what is published of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.executors import Resources
from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle, Tree
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.halves import Half, halved
from tasks.evaluation.tasks.item import Item, ItemScores
from tasks.evaluation.tasks.params import TaskParams, TaskSetParams, score_of, task_digest
from tasks.evaluation.tasks.published import AnsweredItem, ScoredModel, Scores, TaskItems
from tasks.evaluation.tasks.scores import item_scores, loss_of, names_of, score_set, task_scores
from tasks.evaluation.tasks.unit import (
    ITEMS_PER_UNIT,
    Answered,
    ModelFiles,
    ModelOn,
    TaskArgs,
    answer_items,
    load,
    model_of,
    part_of,
    read_answers,
    task_file,
)
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle, folder_tree
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step

ANSWER = Step("evaluate.answers", "evaluate: task items", answer_items, hold=Hold(model_of, load))


@dataclass(frozen=True)
class GivenTask:
    """A task, its file, and the items of it that are measured."""

    params: TaskParams
    file: Handle
    items: Sequence[Item]

    @property
    def digest(self) -> str:
        """The digest of what the task is: two scores are of one task where it is the same."""
        return task_digest(self.file.digest, self.params.task)


def given_tasks(params: TaskSetParams) -> list[GivenTask]:
    """Return the tasks with their files.

    Raises:
        DataError: a file is missing, or a record is not one of its kind of task.
        ConfigError: a file has too few records for the examples, or a set names a score that its task does not have.
    """
    tasks = [given_task(one) for one in params.tasks]
    for one in params.score_sets:
        for name in one.weights:
            require_score(name, tasks, f"score_sets, {one.name}")
    return tasks


def require_score(name: str, tasks: Sequence[GivenTask], where: str) -> str:
    """Return the whole name, `task.score`, of a score that `task` (its primary score) or `task.score` names.

    Raises:
        ConfigError: there is no such task, or it has no such score; `where` names what asks for it.
    """
    by_name = {task.params.name: task for task in tasks}
    if (given := by_name.get(name.partition(".")[0])) is None:
        raise ConfigError(f"{where}: no task is called {name}; tasks: {', '.join(by_name) or 'none'}.")
    task, score = score_of(name, {given.params.name: given.params.task})
    if score not in (known := names_of(given.params.task, given.items[0])):
        raise ConfigError(f"{where}: {task} has no score {score}. It has {', '.join(known)}.")
    return f"{task}.{score}"


def given_task(params: TaskParams) -> GivenTask:
    """Return a task with its file, as `given_tasks` does."""
    file = file_handle(task_file(params.file))
    try:
        text = file.text()
    except UnicodeDecodeError as error:
        raise DataError(f"{params.file}: this is no UTF-8 text: {error}. Unpack it, or save it as UTF-8.") from error
    return GivenTask(params, file, items(params.task, text, params.file))


def model_files(path: Path) -> Tree:
    """Return a model of others: the files of its folder, or one GGUF file.

    Raises:
        ConfigError: there is no such folder or file, or the folder is empty.
    """
    if not path.is_file():
        return folder_tree(path)
    file = file_handle(path)
    return Tree.of(file.store, file.location, [(file.name, file.digest, file.bytes)])


def told_scores(scores: Scores) -> dict[str, Any]:
    """Return the primary scores of every model and its sets of scores, for people."""
    return {
        model.model: {name: one.scores[one.primary].value for name, one in model.tasks.items()}
        | {name: one.value for name, one in model.score_sets.items()}
        for model in scores.models
    }


@dataclass(frozen=True)
class MeasuredTasks:
    """Scores with their items, those of every item by model and task (None: left out), and the units' records."""

    scores: Scores
    items: TaskItems
    by_item: Mapping[tuple[str, str], Sequence[ItemScores | None]]
    records: Sequence[UnitRecord]

    def loss(self, model: str, task: GivenTask, score: str, half: Half) -> float:
        """Return a score of a model on one half of the items, turned so that less is better."""
        name, values = task.params.name, self.by_item[model, task.params.name]
        found = task_scores(name, task.params.task, halved(task.items, values, half))
        return loss_of(score, found.scores[score].value)


def measured(
    workshop: Workshop, params: TaskSetParams, tasks: Sequence[GivenTask], models: Mapping[str, ModelFiles]
) -> MeasuredTasks:
    """Return the scores of models by name; they are asked on the device that full runs are trained on."""
    gpus = workshop.gpus_per_trainer
    device = "cuda" if gpus else "cpu"
    args = [
        (name, task, TaskArgs(ModelOn(files, device), task.file, task.params.task, part))
        for name, files in models.items()
        for task in tasks
        for part in range(-(-len(task.items) // ITEMS_PER_UNIT))
    ]
    records = ANSWER.map(workshop, [each for _, _, each in args], resources=Resources(gpus=gpus))
    answered: dict[tuple[str, str], list[Answered]] = {}
    for (name, task, each), record in zip(args, records, strict=True):
        told_items = read_answers(part_of(task.items, each.part), record.summary)
        answered.setdefault((name, task.params.name), []).extend(told_items)
    scored = {
        (name, task.params.name): item_scores(task.params.task, answered[name, task.params.name])
        for name in models
        for task in tasks
    }
    scores = Scores(
        identities={task.params.name: task.digest for task in tasks},
        models=tuple(_scored_model(name, params, tasks, scored) for name in models),
    )
    told = TaskItems(tasks={task.params.name: _told(task, list(models), scored) for task in tasks})
    return MeasuredTasks(scores, told, scored, records)


def _scored_model(
    name: str,
    params: TaskSetParams,
    tasks: Sequence[GivenTask],
    scored: Mapping[tuple[str, str], Sequence[ItemScores | None]],
) -> ScoredModel:
    configs = {task.params.name: task.params.task for task in tasks}
    found = {task: task_scores(task, config, scored[name, task]) for task, config in configs.items()}
    sets = {one.name: score_set(one, configs, found) for one in params.score_sets}
    return ScoredModel(model=name, tasks=found, score_sets=sets)


def _told(
    task: GivenTask, models: Sequence[str], scored: Mapping[tuple[str, str], Sequence[ItemScores | None]]
) -> tuple[AnsweredItem, ...]:
    """Return what is told of items that every model answered to."""
    columns = [scored[name, task.params.name] for name in models]
    found = []
    for item, *each in zip(task.items, *columns, strict=True):
        values = {name: one.values for name, one in zip(models, each, strict=True) if one is not None}
        if len(values) == len(models):
            found.append(AnsweredItem(id=item.id, line=item.line, gold=item.gold, scores=values))
    return tuple(found)
