"""Contracts between stages: what others may read of a stage, as one frozen model with one reader and one writer.

A stage's `published.py` holds its contracts. Whoever reads the file imports the model; nobody parses it by hand.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.core.errors import DataError
from tasks.core.params import mistakes_of

_SHOWN = 3


class Model(BaseModel):
    """A part of a contract: frozen, refuses unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Published(Model):
    """A JSON file that a stage publishes under the name `FILE`.

    A subclass states its `format` as a literal: `format: Literal[2] = 2`. A changed meaning is a new number.
    """

    FILE: ClassVar[str]
    # What to do with a file that cannot be read.
    AGAIN: ClassVar[str] = "Run the stage that wrote it again."

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Return what `text` says; `where` names the file in errors.

        Raises:
            DataError: it is not JSON, is of another format, or a field is missing, unknown or of another type.
        """
        try:
            value = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: this is not JSON: {error}. {cls.AGAIN}") from error
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}. {cls.AGAIN}")
        cls._require_format(value, where)
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise DataError(f"{where}: {_mistakes(error)} {cls.AGAIN}") from error

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what stands in a folder under `FILE`.

        Raises:
            DataError: the file is missing, or see `parse`.
        """
        path = folder / cls.FILE
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: it cannot be read: {error}. Run that stage again, or `dvc pull`.") from error
        return cls.parse(text, str(path))

    def text(self) -> str:
        """Return the one JSON text of these values: fields in the order of the model."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the file into a folder; return its path."""
        path = folder / self.FILE
        path.write_text(self.text(), encoding="utf-8")
        return path

    @classmethod
    def _require_format(cls, value: dict[str, Any], where: str) -> None:
        expected, found = cls.model_fields["format"].default, value.get("format")
        if found != expected:
            raise DataError(f"{where}: format {found!r}, this version of Mixwright reads {expected!r}. {cls.AGAIN}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON whose keys are there once: of two values the last would be taken, and nobody told."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return found


def _mistakes(error: ValidationError) -> str:
    found = mistakes_of(error)
    pairs = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in found[:_SHOWN]]
    shown = "; ".join(f"{place}: {told}" if place else told for place, told in pairs)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{len(found)} mistake(s): {shown}{more}."
