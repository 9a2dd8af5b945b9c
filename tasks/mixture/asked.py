"""The tasks that a search is about: their files, the tokenizer that reads them, and the unit of what is measured."""

from collections.abc import Mapping, Sequence

from tasks.core.errors import ConfigError
from tasks.core.handles import Tree
from tasks.evaluation.tasks.ahead import require_answerable
from tasks.evaluation.tasks.halves import halved
from tasks.evaluation.tasks.kinds import method
from tasks.evaluation.tasks.scores import direction
from tasks.evaluation.tasks.stage import GivenTask, given_task, known_scores, require_score
from tasks.mixture.config import SearchParams
from tasks.mixture.proxies.on_tasks import AskedTask, AskedTasks
from tasks.mixture.runs import LossUnit
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import ModelConfig


def tasks_of(params: SearchParams) -> tuple[GivenTask, ...]:
    """Return the tasks with their files.

    Raises:
        DataError: a file is missing, a record is not one of its kind of task, or a half has too few to compare.
        ConfigError: a score that is named does not exist, or a half of the items has none.
    """
    return tuple(_checked(params, given_task(task)) for task in params.tasks)


def asked_tasks(params: SearchParams, tasks: Sequence[GivenTask], tokenizer: Tree) -> AskedTasks | None:
    """Return what proxies are asked beside their domains, read by the tokenizer of the pool; None = nothing.

    Raises:
        ConfigError: the pool has no tokenizer, or a task names a layer that a model will not have.
        DataError: items are longer than the context of proxies, or of the run that the recipe is for.
        EvidenceError: all items of a task are, and would be left out.
    """
    if not tasks:
        return None
    if TOKENIZER_FILE not in tokenizer.names:
        raise ConfigError(
            f"search.tasks: the token pool has no {TOKENIZER_FILE}, so that no task can be read. Tokenize the text with "
            "Mixwright, or leave search.tasks out."
        )
    require_answerable(tasks, tokenizer[TOKENIZER_FILE].local(), _models(params), "search.tasks")
    asked = (AskedTask(task.file, task.params.task, scores_of(params, task.params.name)) for task in tasks)
    return AskedTasks(tuple(asked), tokenizer[TOKENIZER_FILE])


def _models(params: SearchParams) -> list[ModelConfig]:
    """Return every model that will be put to the tasks, as far as the params know it."""
    full, transfer = params.target_model or params.proxy.model, params.transfer
    if params.target_sequence_length is not None:
        full = full.model_copy(update={"sequence_length": params.target_sequence_length})
    second = [] if transfer is None or transfer.training is None else [transfer.training.model]
    return [params.proxy.model, *second, full]


def scores_of(params: SearchParams, task: str) -> tuple[str, ...]:
    """Return the scores of a task that count, in the order of the held-out sets."""
    return tuple(
        name.partition(".")[2] or method(one.task).primary for one, name in params.task_scores if one.name == task
    )


def unit_of(params: SearchParams) -> LossUnit:
    """Return the unit of what is measured: bits per byte as long as all scores are."""
    scores = {score for task in params.tasks for score in scores_of(params, task.name)}
    return "bits per byte" if all(direction(score) == "lower" for score in scores) else "loss"


def known_by_content(params: SearchParams, tasks: Sequence[GivenTask]) -> SearchParams:
    """Return the params with the digest of each task's file in place of where it lies."""
    named = (task.params.model_copy(update={"file": task.file.digest}) for task in tasks)
    return params.model_copy(update={"tasks": tuple(named)})


def identities(tasks: Sequence[GivenTask]) -> Mapping[str, str]:
    """Return the digest of what each task is, by name."""
    return {task.params.name: task.digest for task in tasks}


def _checked(params: SearchParams, task: GivenTask) -> GivenTask:
    for score in scores_of(params, task.params.name):
        require_score(f"{task.params.name}.{score}", known_scores([task]), "search.objective")
    halves = [halved(task.items, task.items, half) for half in ("search", "test")]
    sizes = [len(half) for half in halves]
    if not all(sizes):
        raise ConfigError(
            f"search.tasks, {task.params.name}: of its {len(task.items)} items the search may look at {sizes[0]}, and "
            f"{sizes[1]} are kept for the decision. Bring more items, or raise max_items."
        )
    for half in halves:
        task.require_enough(half)
    return task
