"""The unit of work: what a model answers to some items of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.encode import Pair
from tasks.evaluation.tasks.fit import pairs_of, too_long
from tasks.evaluation.tasks.item import Item, Likelihood
from tasks.evaluation.tasks.kinds import TaskConfig, method
from tasks.evaluation.tasks.models import LanguageModel, joined, open_decoder, open_ensemble, open_model

# Items of a unit (of a kind that compares its items: all): what a kill costs at most. A model of 135M parameters does so
# many in about a minute on a CPU.
ITEMS_PER_UNIT = 32


@dataclass(frozen=True)
class TrainedModel:
    """A model that the train stage published, and the tokenizer of its pool."""

    config: Handle
    weights: Handle
    tokenizer: Handle


@dataclass(frozen=True)
class TrainedEnsemble:
    """Models that the train stage published, which are asked as one: the mean of their probabilities counts."""

    members: tuple[TrainedModel, ...]


# Our own models, or a folder as Hugging Face lays it out.
ModelFiles = TrainedModel | TrainedEnsemble | Tree


@dataclass(frozen=True)
class ModelOn:
    """A model, and the device on which it is loaded."""

    files: ModelFiles
    device: str = field(default="cpu", metadata=LABEL)


@dataclass(frozen=True)
class TaskArgs:
    """A model, a task with its file, and which of the task's items: the part `part` of `parts_of`."""

    model: ModelOn
    file: Handle
    task: TaskConfig
    part: int


@dataclass(frozen=True)
class Answered:
    """An item and its answers: the likelihood of each request, or the number that a comparison gave it.

    None where it is longer than the model's context and was left out.
    """

    item: Item
    answers: tuple[Any, ...] | None


def model_of(args: TaskArgs) -> ModelOn:
    """Return the model that a unit needs: what a worker holds."""
    return args.model


def load(model: ModelOn) -> LanguageModel:
    """Return a model, for a worker to hold."""
    match model.files:
        case TrainedModel(config, weights, tokenizer):
            return open_decoder(config.local(), weights.local(), tokenizer.local(), model.device)
        case TrainedEnsemble(members):
            parts = [(one.config.local(), one.weights.local()) for one in members]
            return open_ensemble(parts, members[0].tokenizer.local(), model.device)
        case Tree() as tree:
            return open_model(tree.local(), tree.names, model.device)


def parts_of(task: TaskConfig, chosen: Sequence[Item]) -> list[Sequence[Item]]:
    """Return the items part by part: `ITEMS_PER_UNIT` each, or all in one where they are compared with each other."""
    size = ITEMS_PER_UNIT if method(task).comparison is None else len(chosen)
    return [chosen[first : first + size] for first in range(0, len(chosen), size)]


def answer_items(args: TaskArgs, here: Here) -> UnitResult:
    """Ask a model for the answers to some items; what they are worth is decided later."""
    chosen = parts_of(args.task, items(args.task, args.file.text(), args.file.name))[args.part]
    answered = answers(here.held, args.task, chosen, args.file.name)
    told = [None if one.answers is None else [_told(each) for each in one.answers] for one in answered]
    return UnitResult(summary={"answers": told})


def read_answers(chosen: Sequence[Item], summary: Any) -> list[Answered]:
    """Return what `answer_items` found out about these items."""
    pairs = zip(chosen, summary["answers"], strict=True)
    return [Answered(item, None if told is None else tuple(_read(each) for each in told)) for item, told in pairs]


def _told(answer: Likelihood | float) -> list[float] | float:
    return [answer.log_p, answer.tokens, answer.greedy] if isinstance(answer, Likelihood) else answer


def _read(told: Any) -> Likelihood | float:
    return Likelihood(*told) if isinstance(told, list) else float(told)


def answers(model: LanguageModel, task: TaskConfig, chosen: Sequence[Item], where: str) -> list[Answered]:
    """Return the answers to items; where they are compared with each other, to all that are to be.

    Raises:
        DataError: a request has no tokens, or items are longer than the model's context and may not be left out.
        ConfigError: the task names a layer that the model does not have.
    """
    if (comparison := method(task).comparison) is not None:
        numbers = comparison.answers(task, model, chosen, where)
        return [Answered(item, (number,)) for item, number in zip(chosen, numbers, strict=True)]
    pairs = [pairs_of(model, task, item, where) for item in chosen]
    left_out = too_long(model, task, chosen, pairs, where)
    asked = [pair for each, lost in zip(pairs, left_out, strict=True) if not lost for pair in _flat(each)]
    found = iter(model.likelihoods(asked))
    return [
        Answered(item, None if lost else tuple(joined([next(found) for _ in request]) for request in each))
        for item, each, lost in zip(chosen, pairs, left_out, strict=True)
    ]


def _flat(requests: Sequence[Sequence[Pair]]) -> list[Pair]:
    return [pair for request in requests for pair in request]


def task_file(path: str) -> Path:
    """Return the path of a task's file.

    Raises:
        DataError: there is no such file.
    """
    found = Path(path)
    if not found.is_file():
        raise DataError(f"{path}: there is no such file. Name the file of the task's items, one JSON object a line.")
    return found
