"""Items as they stand in files: one JSON object a line, with the fields of llm-foundry, or fields that the params name."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import DataError
from tasks.core.json_text import parse_json

_ID_CHARACTERS = 16


@dataclass(frozen=True)
class Record:
    """One line of a task's file. `fields` says where a field lies that has another name there: `choices.text`.

    `id` is the digest of its values, which stays when the file is sorted anew; a repeated record has a number behind it.
    """

    where: str
    line: int
    id: str
    values: Mapping[str, Any]
    fields: Mapping[str, str]

    def has(self, name: str) -> bool:
        """Return whether there is such a field."""
        return self._find(name) is not None

    def text(self, name: str) -> str:
        """Return a field that is text.

        Raises:
            DataError: it is missing, or something else.
        """
        value = self._find(name)
        if not isinstance(value, str):
            raise self.mistake(f"`{self._path(name)}` is {_described(value)}, not text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a field that is a list of texts, at least one.

        Raises:
            DataError: it is missing, empty, or something else.
        """
        value = self._find(name)
        if not (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
            raise self.mistake(f"`{self._path(name)}` is {_described(value)}, not a list of texts")
        return tuple(value)

    def index(self, name: str, size: int, labels: Sequence[str] = ()) -> int:
        """Return a field that says which of `size` choices is right: its number from 0, or one of `labels`.

        Raises:
            DataError: it is missing, or none of them.
        """
        value = self._find(name)
        if isinstance(value, str) and value in labels:
            return labels.index(value)
        number = int(value) if isinstance(value, str) and value.isdecimal() and not labels else value
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < size:
            known = f"one of {', '.join(labels)}" if labels else f"a number from 0 to {size - 1}"
            raise self.mistake(f"`{self._path(name)}` is {_described(value)}, not {known}")
        return number

    def mistake(self, what: str) -> DataError:
        """Return the error that says what is wrong with this record, and where it stands."""
        return DataError(f"{self.where}, line {self.line}: {what}. Mend the record, or name its fields (`fields`).")

    def _path(self, name: str) -> str:
        return self.fields.get(name, name)

    def _find(self, name: str) -> Any:
        value: Any = self.values
        for part in self._path(name).split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def records(text: str, where: str, fields: Mapping[str, str]) -> list[Record]:
    """Return the records of a file; empty lines are passed over.

    Raises:
        DataError: a line is no JSON object, or there is none.
    """
    found = list(_records(text, where, fields))
    if not found:
        raise DataError(f"{where}: there is no record in it. Name a file with one JSON object a line.")
    return found


def _records(text: str, where: str, fields: Mapping[str, str]) -> Iterator[Record]:
    seen: Counter[str] = Counter()
    # Not `splitlines`, which breaks lines at characters that JSON texts may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise DataError(f"{where}, line {number}: this is not JSON: {error}. Write one object a line.") from error
        if not isinstance(value, dict):
            raise DataError(f"{where}, line {number}: {_described(value)}, not an object. Write one object a line.")
        digest = hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[
            :_ID_CHARACTERS
        ]
        seen[digest] += 1
        name = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        yield Record(where, number, name, value, fields)


def _described(value: Any) -> str:
    return "missing" if value is None else f"{value!r:.60}"
