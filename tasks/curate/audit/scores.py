"""The scores of every document of a curation in one table: id, source, the columns of every scorer, every statistic."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import ConfigError
from tasks.core.text_table import text_table
from tasks.curate.audit.folder import read_curated
from tasks.curate.published.documents import ANNOTATIONS, REWRITING, SCORES, read_shard
from tasks.curate.published.scored import Scored
from tasks.curate.selection.told import selection_lines

_QUANTILES = (0.1, 0.5, 0.9)
_OF_ALL = ("id", "source")


@dataclass(frozen=True)
class ScoreRange:
    """A column of numbers: how many documents have none, its mean, and quantiles (10 %, 50 %, 90 %) over those that do."""

    name: str
    documents: int
    without: int
    mean: float
    quantiles: tuple[float, ...]


def score_tables(curated: Path) -> Iterator[pa.Table]:
    """Yield the scores and then the statistics of every document, shard by shard, whatever became of it.

    Raises:
        DataError: curate published nothing there, or a file is damaged.
    """
    read_curated(curated)
    folders = [*sorted((curated / SCORES).glob("*")), curated / ANNOTATIONS]
    if (curated / REWRITING).is_dir():
        folders.append(curated / REWRITING)
    for first in sorted((curated / ANNOTATIONS).glob("*.parquet")):
        table = read_shard(first, _OF_ALL)
        for folder in folders:
            other = read_shard(folder / first.name)
            for name in other.column_names:
                if name not in _OF_ALL:
                    table = table.append_column(name, other[name])
        yield table


def write_scores_of(curated: Path, to: Path) -> int:
    """Write the scores of every document into one Parquet file, and return how many documents these are.

    Raises:
        ConfigError: the file is there already, its folder is not, or its name does not say that it is Parquet.
        DataError: as `score_tables`.
    """
    import pyarrow.parquet as pq

    if to.suffix != ".parquet":
        raise ConfigError(f"--to {to}: expected a name that ends in .parquet.")
    if to.exists():
        raise ConfigError(f"--to {to}: there is a file already. Name another, or remove it.")
    if not to.parent.is_dir():
        raise ConfigError(f"--to {to}: there is no folder {to.parent}. Make it, or name another file.")
    tables = score_tables(curated)
    first = next(tables)
    documents, unfinished = 0, to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(unfinished, first.schema) as writer:
            for table in chain((first,), tables):
                writer.write_table(table)
                documents += table.num_rows
        unfinished.rename(to)
    finally:
        unfinished.unlink(missing_ok=True)
    return documents


def score_ranges(curated: Path) -> list[ScoreRange]:
    """Return the range of every column of numbers: of scores, then of statistics."""
    table = pa.concat_tables(list(score_tables(curated)))
    numbers = [field.name for field in table.schema if field.name not in _OF_ALL and not pa.types.is_string(field.type)]
    return [_range(name, table[name].to_numpy().astype(np.float64)) for name in numbers]


def scores_table(ranges: list[ScoreRange], scored: Scored | None) -> str:
    """Return the ranges of scores, and what scorers and selections tell (None: there are none), as lines of text."""
    head = ("score", "documents", "without", "mean", *(f"{share:.0%}" for share in _QUANTILES))
    rows = [
        (one.name, f"{one.documents:,}", f"{one.without:,}", f"{one.mean:.4g}", *(f"{at:.4g}" for at in one.quantiles))
        for one in ranges
    ]
    lines = list(text_table(head, rows))
    if scored is None:
        return "\n".join(lines)
    for name, scorer in scored.scorers.items():
        told = {**scorer.learned, **scorer.kept}
        if scorer.in_target:
            told["documents that are texts of its target"] = scorer.in_target
        if told:
            lines.append(
                f"{name} ({scorer.kind}): " + ", ".join(f"{key} {_told(value)}" for key, value in told.items())
            )
    lines += selection_lines(scored.selections)
    return "\n".join(lines)


def _range(name: str, values: NDArray[np.float64]) -> ScoreRange:
    found = values[~np.isnan(values)]
    if not len(found):
        return ScoreRange(name, len(values), len(values), float("nan"), tuple(float("nan") for _ in _QUANTILES))
    quantiles = tuple(float(at) for at in np.quantile(found, _QUANTILES))
    return ScoreRange(name, len(values), len(values) - len(found), float(found.mean()), quantiles)


def _told(value: object) -> str:
    """Return what a scorer tells as a reader's text.

    >>> _told({"labels": 1200, "levels": {"0": [0.25, 3]}})
    '(labels 1,200, levels (0 (0.25, 3)))'
    """
    if isinstance(value, Mapping):
        return f"({', '.join(f'{key} {_told(one)}' for key, one in value.items())})"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_told, value))})"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
