"""Proxies that are put to tasks as well: on the half of the items that a search may look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.handles import Handle, Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.halves import halved
from tasks.evaluation.tasks.item import Item
from tasks.evaluation.tasks.kinds import TaskConfig
from tasks.evaluation.tasks.models import DecoderModel, read_tokenizer
from tasks.evaluation.tasks.scores import item_scores, loss_of, task_scores
from tasks.evaluation.tasks.unit import answers
from tasks.mixture.proxies.proxy import SPLIT, AndMeasure, ProxySpec, measured_group
from tasks.tokenize.pool import read_pool
from tasks.training.types import DivergedError

if TYPE_CHECKING:
    from tasks.training.model import Decoder


@dataclass(frozen=True)
class AskedTask:
    """A task's file, how its items are asked, and the scores that count."""

    file: Handle
    task: TaskConfig
    scores: tuple[str, ...]

    def items(self) -> list[Item]:
        """Return the items that a search may look at."""
        found = items(self.task, self.file.text(), self.file.name)
        return halved(found, found, "search")


@dataclass(frozen=True)
class AskedTasks:
    """Tasks, and the tokenizer of the pool that proxies are trained on."""

    tasks: tuple[AskedTask, ...]
    tokenizer: Handle

    def measure(self, pool_folder: Path) -> AndMeasure:
        """Return what measures a model that was trained on that pool: its losses on all tasks."""
        tokenizer = read_tokenizer(self.tokenizer.local())
        beginning = read_pool(pool_folder, "train", SPLIT).document_end
        chosen = [(task, task.items()) for task in self.tasks]

        def losses(model: "Decoder") -> tuple[float, ...]:
            reader = DecoderModel(model, tokenizer, beginning)
            return tuple(loss for task, its_items in chosen for loss in _losses(reader, task, its_items))

        return losses


@dataclass(frozen=True)
class TaskProxyArgs:
    """One unit: the proxy, the pool it reads, and the tasks. `gpu_share` (0 = on the processor) is placement."""

    spec: ProxySpec
    pool: Tree
    asked: AskedTasks
    gpu_share: float = field(default=0.0, metadata=LABEL)


def search_proxies_on_tasks(args: Sequence[TaskProxyArgs], places: Sequence[Here]) -> list[UnitResult | DivergedError]:
    """Measure a group of proxies in one process, on their domains and then on tasks."""
    first, pool_folder = args[0], args[0].pool.local()
    measure, specs = first.asked.measure(pool_folder), [each.spec for each in args]
    return measured_group(specs, pool_folder, places, gpu_share=first.gpu_share, and_measure=measure)


def _losses(model: DecoderModel, asked: AskedTask, chosen: Sequence[Item]) -> list[float]:
    answered = answers(model, asked.task, chosen, asked.file.name)
    found = task_scores(asked.file.name, asked.task, item_scores(asked.task, answered)).scores
    return [loss_of(score, found[score].value) for score in asked.scores]
