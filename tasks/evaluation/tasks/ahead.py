"""Tasks looked at before anything is trained: whether the models that will be could be asked them at all."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.evaluation.tasks.fit import FutureModel, require_readable
from tasks.evaluation.tasks.params import TaskSetParams
from tasks.tokenize.published import TOKENIZER_FILE

if TYPE_CHECKING:
    from tasks.evaluation.tasks.stage import GivenTask
    from tasks.training.config import ModelConfig

_TEXTS = 32


def require_answerable(
    tasks: "Sequence[GivenTask]", tokenizer: Path, models: "Iterable[ModelConfig]", what: str
) -> None:
    """Refuse tasks that models still to be trained could not answer; `what` names the param that names the tasks.

    Raises:
        DataError: items are longer than the shortest context of these models and may not be left out.
        EvidenceError: all items of a task are, and would be left out.
        ConfigError: a task names a layer that one of the models will not have.
    """
    from tasks.evaluation.tasks.models import read_tokenizer

    reader, sizes = read_tokenizer(tokenizer), [(one.sequence_length, one.num_layers) for one in models]
    lengths, depths = zip(*sizes, strict=True)

    # The choices of an item have one context.
    @lru_cache(_TEXTS)
    def encode(text: str) -> list[int]:
        return list(reader.encode(text, add_special_tokens=False).ids)

    model = FutureModel(encode, min(lengths), min(depths))
    for task in tasks:
        try:
            require_readable(model, task.params.task, task.items, task.params.file)
        except (ConfigError, DataError, EvidenceError) as error:
            raise type(error)(f"{what}, {task.params.name}: {error}") from error


def require_answerable_later(
    params: TaskSetParams, models: "Iterable[ModelConfig]", inputs: Mapping[str, Path]
) -> None:
    """Refuse, before the runs that evaluate will judge, tasks of its params that they could not answer.

    A task's file that is not there yet is left to evaluate, which may run elsewhere.

    Raises:
        ConfigError: the pool has no tokenizer; and as `require_answerable`.
    """
    from tasks.evaluation.tasks.stage import given_task

    tokenizer = inputs["tokenize"] / TOKENIZER_FILE
    if not tokenizer.is_file():
        raise ConfigError(
            f"evaluate.tasks: the token pool has no {TOKENIZER_FILE}, so that no task can be read. Tokenize the text with "
            "Mixwright, or leave evaluate.tasks out."
        )
    tasks = [given_task(task) for task in params.tasks if Path(task.file).is_file()]
    require_answerable(tasks, tokenizer, models, "evaluate.tasks")
