"""Strict reading of what stages published: a field that is missing or of another type is an error with its place."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tasks.core.errors import DataError


@dataclass(frozen=True)
class Fields:
    """A JSON object and where it stands."""

    value: Mapping[str, Any]
    where: str

    def text(self, name: str) -> str:
        """Return a string. Raises DataError, as all of these do."""
        return str(self._typed(name, str, "a string"))

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self._typed(name, (int, float), "a number")
        if isinstance(value, bool) or not isfinite(value):
            raise self._mistake(name, "a finite number", value)
        return float(value)

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._typed(name, int, "a whole number")
        if isinstance(value, bool):
            raise self._mistake(name, "a whole number", value)
        return int(value)

    def truth(self, name: str) -> bool:
        """Return true or false."""
        return bool(self._typed(name, bool, "true or false"))

    def fields(self, name: str) -> "Fields":
        """Return an object."""
        return Fields(self._typed(name, dict, "an object"), f"{self.where}, {name}")

    def each(self, name: str) -> list["Fields"]:
        """Return a list of objects."""
        found = self._typed(name, list, "a list")
        if strangers := [index for index, item in enumerate(found) if not isinstance(item, dict)]:
            raise self._mistake(f"{name}[{strangers[0]}]", "an object", found[strangers[0]])
        return [Fields(item, f"{self.where}, {name}[{index}]") for index, item in enumerate(found)]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        found = self._typed(name, list, "a list")
        return tuple(Fields({name: item}, self.where).text(name) for item in found)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of finite numbers."""
        found = self._typed(name, list, "a list")
        return tuple(Fields({name: item}, self.where).number(name) for item in found)

    def lists(self, name: str) -> tuple[tuple[float, ...], ...]:
        """Return a list of lists of finite numbers."""
        found = self._typed(name, list, "a list")
        return tuple(Fields({f"{name}[{i}]": item}, self.where).numbers(f"{name}[{i}]") for i, item in enumerate(found))

    def number_if_any(self, name: str) -> float | None:
        """Return a finite number, or None where the field is null; one that is missing is an error."""
        return None if self.is_null(name) else self.number(name)

    def fields_if_any(self, name: str) -> "Fields | None":
        """Return an object, or None where it is missing or null: what a search did not look at."""
        return None if self.value.get(name) is None else self.fields(name)

    def is_null(self, name: str) -> bool:
        """Return whether the field is there and is null; one that is missing is an error."""
        return self._typed(name, object, "a value") is None

    def _typed(self, name: str, kind: Any, told: str) -> Any:
        if name not in self.value:
            known = ", ".join(sorted(self.value)) or "nothing"
            raise DataError(f"{self.where}: there is no {name!r} (found: {known}). Run that stage with this version.")
        value = self.value[name]
        if not isinstance(value, kind):
            raise self._mistake(name, told, value)
        return value

    def _mistake(self, name: str, told: str, value: Any) -> DataError:
        return DataError(f"{self.where}: {name!r} is {value!r:.60}, expected {told}. Run that stage again.")


def read_fields(path: Path) -> Fields:
    """Return the object in a JSON file.

    Raises:
        DataError: the file is missing, is not JSON, or is not an object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, found {type(value).__name__}. Run that stage again.")
    return Fields(value, str(path))


def read_list(path: Path) -> list[Fields]:
    """Return the objects of a JSON file that holds a list.

    Raises:
        DataError: the file is missing, is not JSON, or is not a list of objects.
    """
    return Fields({"(whole)": read_json(path)}, str(path)).each("(whole)")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Run that stage again, or `dvc pull`.") from error
    except ValueError as error:
        raise DataError(f"{path}: this is not JSON: {error}. Run that stage again.") from error


def read_rows(path: Path) -> Iterator[Fields]:
    """Yield the rows of a CSV file; cells that read as numbers are numbers.

    Raises:
        DataError: the file is missing, or a row has more or fewer cells than the header.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Run that stage again, or `dvc pull`.") from error
    rows = csv.reader(lines)
    header = next(rows, [])
    for number, cells in enumerate(rows, start=2):
        if len(cells) != len(header):
            raise DataError(
                f"{path}: line {number} has {len(cells)} cells, the header {len(header)}. Run that stage again."
            )
        yield Fields({name: _cell(cell) for name, cell in zip(header, cells, strict=True)}, f"{path}, line {number}")


def _cell(text: str) -> int | float | str | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
