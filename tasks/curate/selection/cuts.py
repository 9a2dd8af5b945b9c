"""What selections keep: the documents they look at, the intervals that are kept in each group, as a file.

Axes: N documents.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tasks.core.tables import read_table, write_table
from tasks.curate.selection import kinds
from tasks.curate.selection.kinds import Selection
from tasks.curate.selection.method import Interval, Ints, Place, Values

Selections = Mapping[str, Sequence[Selection]]
_SELECTION: TypeAdapter[Selection] = TypeAdapter(Selection)
# No text can be part of a name of a group.
_BETWEEN = "\x1f"
_GROUPS = ("source", "language")
_SCORE = "score "


@dataclass(frozen=True)
class Candidates:
    """What selection looks at of documents: who judges each, its groups, its tokens, the number of its id, its scores."""

    profiles_N: NDArray[Any]
    groups_N: Mapping[str, NDArray[Any]]
    tokens_N: Ints
    id_N: Ints
    scores: Mapping[str, NDArray[np.float64]]

    def take(self, rows: NDArray[Any]) -> "Candidates":
        """Return some of the documents."""
        groups = {name: values[rows] for name, values in self.groups_N.items()}
        scores = {name: values[rows] for name, values in self.scores.items()}
        return Candidates(self.profiles_N[rows], groups, self.tokens_N[rows], self.id_N[rows], scores)

    def group_N(self, selection: Selection) -> NDArray[Any]:
        """Return the name of the group of each document; "" where all are together."""
        names = [self.groups_N[by] for by in selection.by]
        return np.array([_BETWEEN.join(one) for one in zip(*names, strict=True)] or [""] * len(self.id_N), dtype=object)

    def values(self, selection: Selection, rows: NDArray[Any]) -> Values:
        """Return what a selection is made by."""
        return Values(self.scores[selection.score][rows], self.tokens_N[rows], self.id_N[rows])


@dataclass(frozen=True)
class Cut:
    """What one selection of a profile keeps of a group, and how much of what it had before it."""

    profile: str
    selection: Selection
    group: str
    interval: Interval
    documents: int
    tokens: int
    kept_documents: int
    kept_tokens: int

    @property
    def told(self) -> str:
        """What is kept, in words."""
        of = f", of {self.group.replace(_BETWEEN, ', ')}" if self.group else ""
        return f"{kinds.method(self.selection).words(self.selection)}{of}"


def write_candidates(candidates: Candidates, path: Path) -> None:
    """Write candidates as a table."""
    columns = {
        "profile": pa.array(candidates.profiles_N, pa.string()).dictionary_encode(),
        **{name: pa.array(candidates.groups_N[name], pa.string()).dictionary_encode() for name in _GROUPS},
        "tokens": pa.array(candidates.tokens_N),
        "id": pa.array(candidates.id_N),
        **{f"{_SCORE}{name}": pa.array(values) for name, values in candidates.scores.items()},
    }
    write_table(pa.table(columns), path)


def read_candidates(paths: Sequence[Path]) -> Candidates:
    """Return the candidates of several tables, one behind the other."""
    table = pa.concat_tables([read_table(path, stage="curate") for path in paths])
    scores = {name.removeprefix(_SCORE): table[name] for name in table.column_names if name.startswith(_SCORE)}
    return Candidates(
        np.array(table["profile"].to_pylist(), dtype=object),
        {name: np.array(table[name].to_pylist(), dtype=object) for name in _GROUPS},
        table["tokens"].to_numpy(),
        table["id"].to_numpy(),
        {name: values.to_numpy() for name, values in scores.items()},
    )


def cuts_of(selections: Selections, candidates: Candidates) -> list[Cut]:
    """Return what each selection keeps of each group; a later one looks at what the earlier ones of its profile left."""
    found = []
    for profile, chosen in sorted(selections.items()):
        left = np.flatnonzero(candidates.profiles_N == profile)
        for selection in chosen:
            here, kept = candidates.take(left), np.zeros(len(left), np.bool_)
            group_N = here.group_N(selection)
            for group in sorted(set(group_N.tolist())):
                rows = np.flatnonzero(group_N == group)
                values = here.values(selection, rows)
                method = kinds.method(selection)
                interval = method.interval(selection, values)
                within = interval.holds(method.key(selection, values, interval), values.id_N)
                kept[rows] = within
                sizes = (len(rows), values.tokens_N.sum(), within.sum(), values.tokens_N[within].sum())
                found.append(Cut(profile, selection, group, interval, *map(int, sizes)))
            left = left[kept]
    return found


def write_cuts(cuts: Sequence[Cut], path: Path) -> None:
    """Write what is kept."""
    path.write_text(json.dumps([_to_json(cut) for cut in cuts], indent=1) + "\n", encoding="utf-8")


def read_cuts(path: Path) -> list[Cut]:
    """Return what `write_cuts` wrote."""
    return [_of_json(one) for one in json.loads(path.read_text(encoding="utf-8"))]


def _to_json(cut: Cut) -> dict[str, Any]:
    interval = cut.interval
    ends = [[None if math.isinf(end.key) else end.key, end.key > 0, end.id] for end in (interval.low, interval.high)]
    counts = [cut.documents, cut.tokens, cut.kept_documents, cut.kept_tokens]
    selection = cut.selection.model_dump(mode="json")
    return {
        **{"profile": cut.profile, "selection": selection, "group": cut.group, "ends": ends},
        **{"mean": interval.mean, "sd": interval.sd, "counts": counts},
    }


def _of_json(value: Mapping[str, Any]) -> Cut:
    low, high = (
        Place((math.inf if above else -math.inf) if key is None else key, number)
        for key, above, number in value["ends"]
    )
    interval = Interval(low, high, value["mean"], value["sd"])
    selection = _SELECTION.validate_python(value["selection"])
    return Cut(value["profile"], selection, value["group"], interval, *value["counts"])
