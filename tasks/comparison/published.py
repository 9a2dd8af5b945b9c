"""What a comparison of search methods publishes: its table, the mixtures that were found, and every model's result.

Gains are natural - method in the unit of the objective, so more is better.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import NonNegativeInt, ValidationError

from tasks.core.errors import DataError
from tasks.core.published import Model, Published
from tasks.mixture.published import Weights
from tasks.mixture.runs import LossUnit

TRAINED_FILE = "trained.csv"
_TRAINED_FORMAT = "2"


class MethodRow(Model):
    """A line of the table.

    `lower` to `upper` is a t interval over searches (for a baseline: over training seeds); `searches` are the gains of the
    single searches, each a mean over training seeds. The ends are None where there is nothing to compute an interval of:
    one search, or natural beside itself.
    """

    method: str
    objective: float
    gain: float
    lower: float | None
    upper: float | None
    searches: tuple[float, ...]
    proxies: NonNegativeInt


class MethodGain(Model):
    """The first method's gain over another one, paired by search and training seed."""

    gain: float
    lower: float | None
    upper: float | None
    searches: tuple[float, ...]


class ComparisonTable(Published):
    """The table, the best gain first, and what the first method gains over every other one and the baselines.

    `unit` is that of objectives and gains; "loss" where the objective names scores that are not in bits per byte.
    """

    FILE: ClassVar[str] = "table.json"

    format: Literal[1] = 1
    table: tuple[MethodRow, ...]
    versus: Mapping[str, MethodGain]
    unit: LossUnit = "bits per byte"


class ComparedMixture(Model):
    """A mixture that was trained: which method found it in which search (None for a baseline), with how many proxies."""

    method: str
    search: NonNegativeInt | None
    weights: Weights
    proxies: NonNegativeInt


class ComparedMixtures(Published):
    """All mixtures that were trained; weights are in the order of `domains`."""

    FILE: ClassVar[str] = "mixtures.json"

    format: Literal[2] = 2
    domains: tuple[str, ...]
    mixtures: tuple[ComparedMixture, ...]


class ComparedModel(Model):
    """One model: which method found its mixture, in which search, its training seed, and the objective on the test split.

    `search` is the search's number, None for a baseline; `objective` is a weighted mean of bits per byte and
    of scores of tasks, turned so that less is better.
    """

    method: str
    search: NonNegativeInt | None
    seed: NonNegativeInt
    objective: float
    proxies: NonNegativeInt


def trained_csv(models: Iterable[ComparedModel]) -> str:
    """Return the models as CSV, one line each; floats read back as the same bits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["format", *ComparedModel.model_fields])
    for model in models:
        values = model.model_dump()
        writer.writerow([_TRAINED_FORMAT, *("" if value is None else value for value in values.values())])
    return stream.getvalue()


def read_trained(path: Path) -> tuple[ComparedModel, ...]:
    """Read the models that `trained_csv` wrote.

    Raises:
        DataError: no such file, another format, or a line that is no model; says the line.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: it cannot be read: {error}. Run the comparison again.") from error
    return tuple(_model(path, number, line) for number, line in enumerate(lines, start=2))


def _model(path: Path, number: int, line: Mapping[str, str]) -> ComparedModel:
    values = {name: value or None for name, value in line.items()}
    if (found := values.pop("format", None)) != _TRAINED_FORMAT:
        raise DataError(
            f"{path}, line {number}: format {found}, this version of Mixwright reads {_TRAINED_FORMAT}. Run the "
            "comparison again."
        )
    try:
        return ComparedModel.model_validate(values)
    except ValidationError as error:
        raise DataError(f"{path}, line {number}: not a model: {error}. Run the comparison again.") from error
