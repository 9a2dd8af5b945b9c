"""Tasks put to models: units over parts of their items, and what is published of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.executors import Resources
from tasks.core.digest import digest_json
from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle, Tree
from tasks.core.identity import params_of
from tasks.evaluation.harness.results import items_of_models, read_results, scores_of_models
from tasks.evaluation.harness.samples import SampledItem
from tasks.evaluation.tasks.baselines import baseline_of
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.halves import Half, halved
from tasks.evaluation.tasks.item import Item, ItemScores
from tasks.evaluation.tasks.kinds import method
from tasks.evaluation.tasks.params import TaskParams, TaskSetParams, task_digest, task_in
from tasks.evaluation.tasks.published import AnsweredItem, ScoredModel, Scores, TaskItems, TaskScores
from tasks.evaluation.tasks.scores import item_scores, loss_of, names_of, score_set, task_scores
from tasks.evaluation.tasks.unit import (
    Answered,
    ModelFiles,
    ModelOn,
    TaskArgs,
    TrainedEnsemble,
    TrainedModel,
    answer_items,
    load,
    model_of,
    parts_of,
    read_answers,
    task_file,
)
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle, folder_tree
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Hold, Step
from tasks.training.published_run import WEIGHTS_FILE

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

    def require_enough(self, some: Sequence[Item]) -> None:
        """Require that these of its items can be compared with each other, where its kind does that.

        Raises:
            DataError: they are too few.
        """
        if (comparison := method(self.params.task).comparison) is not None:
            comparison.require(some, self.params.file)


def given_tasks(params: TaskSetParams) -> list[GivenTask]:
    """Return the tasks with their files.

    Raises:
        DataError: a file is missing, a record is not one of its kind of task, or there are too few; results of the harness
            are none.
        ConfigError: a file has too few records for the examples; a set names a score that its task does not have, or is
            called as a task of the harness.
    """
    tasks = [given_task(one) for one in params.tasks]
    known = known_scores(tasks, params)
    for one in params.score_sets:
        if one.name in known:
            raise ConfigError(
                f"score_sets: {one.name} is a task of the results of the harness too. Give the set another name."
            )
        for name in one.shares:
            task, score = require_score(name, known, f"score_sets, {one.name}")
            if one.baselines is not None:
                baseline_of(one.baselines, task, score)
    return tasks


@dataclass(frozen=True)
class KnownScores:
    """The scores that a task has, the primary one first."""

    primary: str
    names: Sequence[str]


def known_scores(tasks: Sequence[GivenTask], params: TaskSetParams | None = None) -> dict[str, KnownScores]:
    """Return what scores there are by task: of our own tasks, and of those that results of the harness tell.

    Raises:
        ConfigError: one of ours is called as one of the harness.
    """
    known = {
        task.params.name: KnownScores(method(task.params.task).primary, names_of(task.params.task, task.items[0]))
        for task in tasks
    }
    for one in read_results(params.harness_results if params is not None else ()):
        for name, task in one.tasks.items():
            if name in {given.params.name for given in tasks}:
                raise ConfigError(f"tasks: {name} is a task of {one.file} too. Give ours another name.")
            known[name] = KnownScores(task.scores.primary, tuple(task.scores.scores))
    return known


def require_score(name: str, known: Mapping[str, KnownScores], where: str) -> tuple[str, str]:
    """Return task and score of a score that `task` (its primary score) or `task.score` names.

    Raises:
        ConfigError: there is no such task, or it has no such score; `where` names what asks for it.
    """
    if (found := task_in(name, known)) is None:
        raise ConfigError(f"{where}: no task is called {name.partition('.')[0]}; tasks: {', '.join(known) or 'none'}.")
    task, score = found
    if (wanted := score or known[task].primary) not in known[task].names:
        raise ConfigError(f"{where}: {task} has no score {wanted}. It has {', '.join(known[task].names)}.")
    return task, wanted


def content_of(tasks: Sequence[GivenTask], params: TaskSetParams) -> dict[str, str]:
    """Return the digests of what tasks and results of the harness are, as inputs of a stage; of nothing none."""
    found = {"tasks": [task.digest for task in tasks]}
    found["harness_results"] = [one.digest for one in read_results(params.harness_results)]
    return {name: digest_json(digests) for name, digests in found.items() if digests}


def given_task(params: TaskParams) -> GivenTask:
    """Return a task with its file, as `given_tasks` does."""
    file = file_handle(task_file(params.file))
    try:
        text = file.text()
    except UnicodeDecodeError as error:
        raise DataError(f"{params.file}: this is no UTF-8 text: {error}. Unpack it, or save it as UTF-8.") from error
    given = GivenTask(params, file, items(params.task, text, params.file))
    given.require_enough(given.items)
    return given


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
    """Return the scores of models by name; they are asked on the device that full runs are trained on.

    Raises:
        DataError: results of the harness are not those of these models, or not of all.
    """
    results, weights = read_results(params.harness_results), weights_of(models)
    taken, others = scores_of_models(results, weights)
    sampled = items_of_models(results, weights)
    gpus = workshop.gpus_per_trainer
    device = "cuda" if gpus else "cpu"
    args = [
        (name, task, chosen, TaskArgs(ModelOn(files, device), task.file, task.params.task, part))
        for name, files in models.items()
        for task in tasks
        for part, chosen in enumerate(parts_of(task.params.task, task.items))
    ]
    records = ANSWER.map(workshop, [each for *_, each in args], resources=Resources(gpus=gpus))
    answered: dict[tuple[str, str], list[Answered]] = {}
    for (name, task, chosen, _), record in zip(args, records, strict=True):
        answered.setdefault((name, task.params.name), []).extend(read_answers(chosen, record.summary))
    scored = {
        (name, task.params.name): item_scores(task.params.task, answered[name, task.params.name])
        for name in models
        for task in tasks
    }
    identities = {**{task.params.name: task.digest for task in tasks}, **others}
    scores = Scores(
        identities={**identities, **_identities_of_sets(params, identities)},
        models=tuple(_scored_model(name, params, tasks, scored, taken[name]) for name in models),
    )
    told = {task.params.name: _told(task, list(models), scored) for task in tasks}
    by_item = {
        (model, task): [one.scores for one in own] for task, each in sampled.items() for model, own in each.items()
    }
    items = TaskItems(tasks=told | {task: _told_samples(each) for task, each in sampled.items()})
    return MeasuredTasks(scores, items, {**scored, **by_item}, records)


def weights_of(models: Mapping[str, ModelFiles]) -> dict[str, str | None]:
    """Return the digest of each model's weights; None where they lie in several files."""
    return {name: _weights(files) for name, files in models.items()}


def _weights(files: ModelFiles) -> str | None:
    match files:
        case TrainedModel():
            return files.weights.digest
        case TrainedEnsemble():
            return None
        case Tree():
            found = [name for name in files.names if name == WEIGHTS_FILE or name.endswith(".gguf")]
            return files[found[0]].digest if len(found) == 1 else None


def _identities_of_sets(params: TaskSetParams, tasks: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of what each set is: its scores, weights, baselines and tasks."""

    def identity(name: str) -> str:
        found = task_in(name, tasks)
        assert found is not None, "the scores of sets were looked for before"
        return tasks[found[0]]

    return {
        one.name: digest_json([params_of(one), {name: identity(name) for name in one.shares}])
        for one in params.score_sets
    }


def _scored_model(
    name: str,
    params: TaskSetParams,
    tasks: Sequence[GivenTask],
    scored: Mapping[tuple[str, str], Sequence[ItemScores | None]],
    taken: Mapping[str, TaskScores],
) -> ScoredModel:
    configs = {task.params.name: task.params.task for task in tasks}
    own = {task: task_scores(task, config, scored[name, task]) for task, config in configs.items()}
    found = {**own, **taken}
    return ScoredModel(
        model=name, tasks=found, score_sets={one.name: score_set(one, found) for one in params.score_sets}
    )


def _told_samples(by_model: Mapping[str, Sequence[SampledItem]]) -> tuple[AnsweredItem, ...]:
    """Return what is told of the items of a task of the harness."""
    return tuple(
        AnsweredItem(
            id=each[0].id,
            line=each[0].line,
            gold=None,
            scores={name: one.scores.values for name, one in zip(by_model, each, strict=True)},
        )
        for each in zip(*by_model.values(), strict=True)
    )


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
