"""Which items of a task a search may look at, and which are kept for the decision on what it found."""

from collections.abc import Sequence
from typing import Literal, TypeVar

from tasks.evaluation.tasks.item import Item

Half = Literal["search", "test"]
Value = TypeVar("Value")


def half_of(item: Item) -> Half:
    """Return the half that an item is in: by its record alone, so that each is in one, in whatever file.

    >>> half_of(Item("4f", 1, ())), half_of(Item("5f", 1, ()))
    ('search', 'test')
    """
    return "test" if int(item.id[0], 16) % 2 else "search"


def halved(items: Sequence[Item], values: Sequence[Value], half: Half) -> list[Value]:
    """Return the values of the items in a half."""
    return [value for item, value in zip(items, values, strict=True) if half_of(item) == half]
