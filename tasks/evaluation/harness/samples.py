"""The samples of lm-evaluation-harness (`--log_samples`) read: what a model scored on every item of a task."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from tasks.core.errors import DataError
from tasks.core.json_text import parse_json
from tasks.evaluation.tasks.item import ItemScores
from tasks.evaluation.tasks.published import TaskScores

# Scores that are means over items in every task. Others may be made of all items together, as F1 or a perplexity are.
_MEANS = ("acc", "acc_norm", "exact_match")
_CLOSE = 1e-6
_ID_CHARACTERS = 16


@dataclass(frozen=True)
class SampledItem:
    """An item of the harness: its number with the beginning of its digest, its line in the file, and its scores."""

    id: str
    line: int
    scores: ItemScores


class _Line(BaseModel):
    """What is read of a line; the values of its metrics stand beside these fields."""

    model_config = ConfigDict(extra="allow")

    doc_id: NonNegativeInt
    doc_hash: str
    filter: str
    metrics: list[str]

    def values(self) -> Iterator[tuple[str, float]]:
        """Yield the metrics that are a number, under the names that the results have."""
        for metric in self.metrics:
            value = (self.model_extra or {}).get(metric)
            if isinstance(value, int | float) and isfinite(value):
                yield metric if self.filter == "none" else f"{metric},{self.filter}", float(value)


@dataclass
class _Item:
    doc_hash: str
    line: int
    values: dict[str, float] = field(default_factory=dict)


def read_samples(path: str, task: str, scores: TaskScores) -> tuple[SampledItem, ...]:
    """Return the items of a task by their numbers, with those of its scores that are means over them.

    Raises:
        DataError: the file is missing, damaged or of another kind, or its items do not give the scores of the results.
    """
    found: dict[int, _Item] = {}
    for number, line in _lines(path):
        item = found.setdefault(line.doc_id, _Item(line.doc_hash, number))
        own = dict(line.values())
        if item.doc_hash != line.doc_hash or item.values.keys() & own.keys():
            raise DataError(
                f"{path}, line {number}: document {line.doc_id} stands there twice. Name a file of one run."
            )
        item.values |= own
    if len(found) != scores.items:
        raise DataError(
            f"{path}: {len(found)} items of {task}, and the results tell of {scores.items}. Name the samples of the same "
            "run."
        )
    kept = [
        name for name in scores.scores if _is_mean(path, task, name, scores.scores[name].value, list(found.values()))
    ]
    if not kept:
        raise DataError(
            f"{path}: no score of {task} is a mean over its items ({', '.join(scores.scores)}). Leave these samples out."
        )
    return tuple(
        SampledItem(
            f"{number}-{item.doc_hash[:_ID_CHARACTERS]}",
            item.line,
            ItemScores({name: item.values[name] for name in kept}),
        )
        for number, item in sorted(found.items())
    )


def _is_mean(path: str, task: str, name: str, value: float, items: list[_Item]) -> bool:
    values = [item.values[name] for item in items if name in item.values]
    same = len(values) == len(items) and isclose(fmean(values), value, rel_tol=_CLOSE, abs_tol=_CLOSE)
    if not same and name.partition(",")[0] in _MEANS:
        told = f"{fmean(values):.6g} over {len(values)} of {len(items)} items" if values else "told of no item"
        raise DataError(
            f"{path}: {name} of {task} is {told}, and {value:.6g} in the results. Name the samples of the same run."
        )
    return same


def _lines(path: str) -> Iterator[tuple[int, _Line]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}. Name a samples_*.jsonl of --log_samples.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value: Any = parse_json(line)
            yield number, _Line.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise DataError(
                f"{path}, line {number}: this is no sample of lm-evaluation-harness ({place}: {first['msg']}). Name a "
                "samples_*.jsonl of --log_samples."
            ) from error
        except ValueError as error:
            raise DataError(f"{path}, line {number}: this is not JSON: {error}. Get the file again.") from error
