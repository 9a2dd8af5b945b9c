"""A grid: an arm that is written once, with what it has otherwise in each cell of a product.

    - {name: sweep, grid: {epochs: [8, 16], training.optimizer.weight_decay: {usual: 0.1, large: 1.6}}}

stands for four arms, `sweep-epochs_8-usual`, `sweep-epochs_8-large`, `sweep-epochs_16-usual` and so on. A key is a place in
the arm. A value of a list is called by the last word of the place and itself, one of a mapping by its name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

from tasks.core.params import Params, layered

_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_+-]")
# What an arm is called by, and what grids themselves write.
_NO_AXES = frozenset({"name", "grid", "cell"})


class Cell(Params):
    """Where an arm stands in the grid that it was made of: the name of its value on each axis."""

    grid: str
    values: Mapping[str, str]


def in_a_name(word: str) -> str:
    """Return a word as a name may hold it.

    >>> in_a_name("weight_decay_0.1")
    'weight_decay_0_1'
    """
    return _NOT_OF_A_NAME.sub("_", word)


def without_grids(arms: Any) -> Any:
    """Return arms as they are written in a file, those with a `grid` as the arms of its cells.

    Raises:
        ValueError: a grid is no mapping of places to values, or an axis has none, or one that has no name.
    """
    if not isinstance(arms, Sequence) or isinstance(arms, str):
        return arms  # the model says what was expected
    return [one for arm in arms for one in _cells(arm)]


def _cells(arm: Any) -> Iterator[Any]:
    if not isinstance(arm, Mapping) or arm.get("grid") is None:
        yield arm
        return
    name = str(arm.get("name", ""))
    axes = _axes(arm["grid"], f"arm {name}, grid")
    plain = {key: value for key, value in arm.items() if key != "grid"}
    for chosen in product(*(axis.items() for axis in axes.values())):
        cell = reduce(layered, (_at(place, value) for place, (_, value) in zip(axes, chosen, strict=True)), plain)
        values = {place: label for place, (label, _) in zip(axes, chosen, strict=True)}
        yield cell | {
            "name": "-".join([name, *(in_a_name(label) for label in values.values())]),
            "cell": {"grid": name, "values": values},
        }


def _axes(grid: Any, where: str) -> dict[str, dict[str, Any]]:
    """Return the values of each axis by their names."""
    if not isinstance(grid, Mapping) or not grid:
        raise ValueError(f"{where}: expected places with their values, such as epochs: [8, 16]")
    if taken := sorted({str(place).partition(".")[0] for place in grid} & _NO_AXES):
        raise ValueError(f"{where}: {taken[0]} is no axis; name another place of the arm")
    return {str(place): _named(str(place), values, f"{where}, {place}") for place, values in grid.items()}


def _named(place: str, values: Any, where: str) -> dict[str, Any]:
    if isinstance(values, Mapping):
        named = {str(name): value for name, value in values.items()}
    elif isinstance(values, Sequence) and not isinstance(values, str):
        if unnamed := [
            value for value in values if isinstance(value, Mapping | Sequence) and not isinstance(value, str)
        ]:
            raise ValueError(f"{where}: {unnamed[0]!r} has no name; write the values as NAME: VALUE, not as a list")
        named = {f"{place.rpartition('.')[2]}_{_told(value)}": value for value in values}
        if len(named) < len(values):
            raise ValueError(f"{where}: {len(values)} values, of which {len(named)} differ; name each once")
    else:
        raise ValueError(f"{where}: expected a list of values, or names with their values, found {values!r}")
    if not named:
        raise ValueError(f"{where}: there is no value")
    return named


def _told(value: Any) -> str:
    """Return a value as a name tells it.

    >>> _told(8), _told(8.0), _told(0.1), _told(None)
    ('8', '8', '0.1', 'null')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _at(place: str, value: Any) -> Any:
    return reduce(lambda inner, key: {key: inner}, reversed(place.split(".")), value)
