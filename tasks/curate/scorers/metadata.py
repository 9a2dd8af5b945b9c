"""What a document's source or a field of its metadata says, as a number: a licence's tier of risk, the year of a page."""

import math
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.core.json_text import parse_json
from tasks.curate.scorers.method import Documents, Given, ScorerMethod, ScorerParams
from tasks.curate.statistics.texts import Columns

# A month or a day there is, and behind them a time or nothing that goes on: a telephone number is no date.
_DATE = re.compile(r"(\d{4})-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?(?:(?![\w-])|(?=T\d))")


class Metadata(ScorerParams):
    """The number of what stands in `field` of a document's metadata (`licence`, `meta.licence`); None: of its source.

    `values` gives each value its number, by name or pattern (`CC-BY-*`): its own name, else the longest pattern that fits;
    what none fits has `otherwise`. Without `values` a number is itself, and a date (2019-07-02) its year and the part of
    it that was over. A document without a number has no score.
    """

    kind: Literal["metadata"] = "metadata"
    field: Annotated[str, Field(min_length=1)] | None = None
    values: dict[str, float] | None = Field(default=None, min_length=1)
    otherwise: float | None = None

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if self.values is None and (self.field is None or self.otherwise is not None):
            what = "a source is no number" if self.field is None else "otherwise belongs to values"
            raise ValueError(f"{what}: give `values`, a number for each name or pattern.")
        return self


def as_number(value: Any) -> float:
    """Return a value as a number, a date as its year; NaN where it is neither.

    >>> as_number("2019-07-02"), as_number("2019"), as_number(3), as_number("CC0")
    (2019.5, 2019.0, 3.0, nan)
    """
    if isinstance(value, str) and (date := _DATE.match(value)):
        year, month, day = (int(part or 1) for part in date.groups())
        return round(year + (month - 1) / 12 + (day - 1) / 372, 2)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _score(config: Metadata, documents: Documents, held: None) -> Columns:
    if config.field is None:
        found = documents.table["source"].to_pylist()
    else:
        found = [_field(config.field, text) for text in documents.table["metadata"].to_pylist()]
    return {"": np.array([_number(config, value) for value in found], np.float64)}


def _number(config: Metadata, value: Any) -> float:
    if config.values is None:
        return as_number(value)
    own = str(value)
    fitting = [name for name in config.values if value is not None and fnmatchcase(own, name)]
    if not fitting:
        return math.nan if config.otherwise is None else config.otherwise
    # Never by their order, which is no part of what params are: the same params in another order are the same work.
    return config.values[max(fitting, key=lambda name: (name == own, len(name), name))]


def _field(path: str, metadata: str | None) -> Any:
    value = parse_json(metadata) if metadata else None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _load(config: Metadata, given: Given) -> None:
    return None


METHOD = ScorerMethod(("",), _score, _load, reads=("metadata",))
