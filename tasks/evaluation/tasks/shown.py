"""Items as text that stands somewhere in a corpus: the question, and the question with its right answer."""

from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.kinds import Method, TaskConfig, method
from tasks.evaluation.tasks.records import Record, records


def item_texts(config: TaskConfig, text: str, where: str) -> dict[str, tuple[str, ...]]:
    """Return the texts of each item that is measured, by its id, in the order of `items`; no examples stand before them.

    Raises:
        DataError, ConfigError: as `items`.
    """
    how, by_id = method(config), {record.id: record for record in records(text, where, config.fields)}
    return {item.id: _texts(how, config, by_id[item.id]) for item in items(config, text, where)}


def _texts(how: Method, config: TaskConfig, record: Record) -> tuple[str, ...]:
    alone = how.item(config, record, "")
    right = alone.requests[alone.gold]
    return tuple(text for text in (right.context, right.context + right.continuation) if text)
