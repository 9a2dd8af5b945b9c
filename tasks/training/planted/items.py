"""The items of planted experiments: a text to plant, and the probe whose likelihood is asked."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.errors import DataError
from tasks.core.json_text import parse_json

_FIELDS = ("id", "text", "context", "probe")


@dataclass(frozen=True)
class Item:
    """An item: the text that is planted, and what is asked of a model, how likely `probe` is behind `context`.

    Items of two experiments that have one id are one: a treatment of each, and one probe.
    """

    id: str
    text: str
    context: str
    probe: str


def read_items(text: str, where: str) -> tuple[Item, ...]:
    """Return the items of a file in the order of their ids; without a `probe` the text is asked.

    Raises:
        DataError: a line is no such object, a text or probe is empty, an id stands there twice, or there is no item.
    """
    items = sorted(_items(text, where), key=lambda item: item.id)
    if not items:
        raise DataError(f"{where}: there is no item in it. Name a file with one JSON object a line.")
    counts = Counter(item.id for item in items)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"{where}: {len(twice)} of {len(counts)} ids stand there more than once; first: {twice[0]!r}. An id is what is "
            "assigned: give each item its own."
        )
    return tuple(items)


def require_one_probe(items: Mapping[str, Sequence[Item]]) -> None:
    """Check that an item which two experiments treat is asked one thing.

    Raises:
        DataError: an id has another probe or context in another experiment.
    """
    known: dict[str, tuple[str, Item]] = {}
    for name, own in items.items():
        for item in own:
            first, other = known.setdefault(item.id, (name, item))
            if (item.context, item.probe) != (other.context, other.probe):
                raise DataError(
                    f"train.planted: the item {item.id!r} has one context and probe in {first} and others in {name}. Items "
                    "with one id are one, whose likelihood is asked once: give both the same, or other ids."
                )


def _items(text: str, where: str) -> Iterator[Item]:
    # Not `splitlines`, which breaks lines at characters that JSON texts may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _item(line, f"{where}, line {number}")


def _item(line: str, where: str) -> Item:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise DataError(f"{where}: this is not JSON: {error}. Write one object a line.") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: {value!r:.60} is no object. Write one object a line.")
    if unknown := sorted({*value} - {*_FIELDS}):
        raise DataError(f"{where}: unknown field {unknown[0]!r}; an item has {', '.join(_FIELDS)}. Leave it out.")
    texts = {"context": "", "probe": value.get("text"), **value}
    for name in _FIELDS:
        own = texts.get(name)
        if not isinstance(own, str) or (not own and name != "context"):
            found = "missing" if name not in texts else f"{own!r:.60}"
            raise DataError(f"{where}: `{name}` is {found}; it has to be text. Correct the item, or leave it out.")
    return Item(texts["id"], texts["text"], texts["context"], texts["probe"])
