"""What selection looks at of the documents that pass all else: as arrays, and as a table.

Axes: N documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.tables import read_table, write_table
from tasks.curate.selection.method import GROUPS, Floats, Ints, Values

_SCORE = "score "
# More are no groups but measurements; a guess.
_MOST_GROUPS = 10_000


@dataclass(frozen=True)
class Candidates:
    """Documents that selection decides about: who judges each, its groups, its tokens, the number of its id, its scores."""

    profiles_N: NDArray[Any]
    groups_N: Mapping[str, NDArray[Any]]
    tokens_N: Ints
    id_N: Ints
    scores: Mapping[str, Floats]

    def take(self, rows: NDArray[Any]) -> "Candidates":
        """Return some of the documents."""
        groups = {name: values[rows] for name, values in self.groups_N.items()}
        scores = {name: values[rows] for name, values in self.scores.items()}
        return Candidates(self.profiles_N[rows], groups, self.tokens_N[rows], self.id_N[rows], scores)

    def rows_by(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the documents of each group, by its name; all as "" where nothing is named.

        Raises:
            DataError: there are too many groups.
        """
        if not names:
            return {"": np.arange(len(self.id_N))}
        each = [self._labels(name) for name in names]
        joined = pa.array([", ".join(one) for one in zip(*each, strict=True)], pa.string()).dictionary_encode()
        found = joined.dictionary.to_pylist()
        if len(found) > _MOST_GROUPS:
            raise DataError(
                f"a selection by {', '.join(names)} would have {len(found):,} groups; {_MOST_GROUPS:,} is the most. Name "
                "columns of labels, not of measurements."
            )
        group_N = joined.indices.to_numpy()
        order = np.argsort(group_N, kind="stable")
        ends = np.cumsum(np.bincount(group_N, minlength=len(found)))
        rows = np.split(order, ends[:-1]) if len(found) else []
        return dict(sorted(zip(found, rows, strict=True)))

    def values(self, score: str | None, rows: NDArray[Any]) -> Values:
        """Return what a selection by a score (None: by none) looks at."""
        scores = np.full(len(rows), np.nan) if score is None else self.scores[score][rows]
        return Values(scores, self.tokens_N[rows], self.id_N[rows])

    def _labels(self, name: str) -> list[str]:
        if name in self.groups_N:
            return [str(one) for one in self.groups_N[name]]
        values_N = self.scores[name] + 0.0  # so that -0 is in the group of 0
        return ["none" if np.isnan(value) else f"{name} {value:g}" for value in values_N.tolist()]


def write_candidates(candidates: Candidates, path: Path) -> None:
    """Write candidates as a table."""
    columns = {
        "profile": pa.array(candidates.profiles_N, pa.string()).dictionary_encode(),
        **{name: pa.array(candidates.groups_N[name], pa.string()).dictionary_encode() for name in GROUPS},
        "tokens": pa.array(candidates.tokens_N),
        "id": pa.array(candidates.id_N),
        **{f"{_SCORE}{name}": pa.array(values) for name, values in candidates.scores.items()},
    }
    write_table(pa.table(columns), path)


def read_candidates(paths: Sequence[Path]) -> tuple[Candidates, list[int]]:
    """Return the candidates of several tables, one behind the other, and how many each has."""
    tables = [read_table(path, stage="curate") for path in paths]
    table = pa.concat_tables(tables)
    scores = {name.removeprefix(_SCORE): table[name] for name in table.column_names if name.startswith(_SCORE)}
    candidates = Candidates(
        np.array(table["profile"].to_pylist(), dtype=object),
        {name: np.array(table[name].to_pylist(), dtype=object) for name in GROUPS},
        table["tokens"].to_numpy(),
        table["id"].to_numpy(),
        {name: values.to_numpy() for name, values in scores.items()},
    )
    return candidates, [one.num_rows for one in tables]
