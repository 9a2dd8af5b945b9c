"""Which records of a task's file are measured, and which are shown before them as examples."""

import hashlib
from collections.abc import Sequence

from tasks.core.errors import ConfigError
from tasks.evaluation.tasks.item import Item
from tasks.evaluation.tasks.kinds import Method, TaskConfig, method
from tasks.evaluation.tasks.prompt import PromptParams, prefix
from tasks.evaluation.tasks.records import Record, records


def items(config: TaskConfig, text: str, where: str) -> list[Item]:
    """Return the items of a file that are measured, in the order of the file.

    Examples and items are chosen by the hash of the seed and the record, so that they are the same whatever the order of
    the file. Every record is looked at, chosen or not.

    Raises:
        DataError: a record is not one of this kind of task, or there is none.
        ConfigError: there are too few records for the examples.
    """
    found, how = records(text, where, config.fields), method(config)
    before, shown = _examples(config, how, found, where)
    asked = [how.item(config, record, before) for record in found]
    rest = [item for item in asked if item.id not in shown]
    if config.max_items is None:
        return rest
    chosen = {
        item.id for item in sorted(rest, key=lambda item: _rank(config.seed, "item", item.id))[: config.max_items]
    }
    return [item for item in rest if item.id in chosen]


def _examples(config: TaskConfig, how: Method, found: Sequence[Record], where: str) -> tuple[str, set[str]]:
    """Return what stands before every item, and the records that it shows."""
    if how.example is None or not isinstance(config, PromptParams):
        return "", set()
    if config.num_fewshot >= len(found):
        raise ConfigError(
            f"{where}: {config.num_fewshot} examples leave none of its {len(found)} records to measure. Lower num_fewshot."
        )
    shown = sorted(found, key=lambda record: _rank(config.seed, "example", record.id))[: config.num_fewshot]
    return prefix(config, [how.example(config, record) for record in shown]), {record.id for record in shown}


def _rank(seed: int, what: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {what} {name}".encode()).digest()
