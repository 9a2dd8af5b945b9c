"""What the rules say of a shard: its tables of statistics read, its documents judged by the profile of their source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.tables import read_table
from tasks.curate.config import CurateParams
from tasks.curate.rules.decide import Decisions, Verdict, decide, verdicts
from tasks.curate.rules.rule import Values


@dataclass(frozen=True)
class Evidence:
    """The tables about one shard, row for row: statistics, and those behind a rewriting (None: nothing is rewritten)."""

    annotations: Path
    rewriting: Path | None = None


@dataclass(frozen=True)
class Judgement:
    """The documents of a shard and what the rules say of them; `sizes` has id, source, bytes and pretokens."""

    sizes: pa.Table
    statistics: Values
    profiles: tuple[str, ...]
    decisions: Decisions

    def verdicts(self, params: CurateParams) -> list[Verdict | None]:
        """Return why each document is dropped by a rule; None for those that pass."""
        chosen = {name: params.profile_called(name) for name in set(self.profiles)}
        return verdicts(self.statistics, self.decisions.failed_rule_N, self.profiles, chosen)


def judge(evidence: Evidence, params: CurateParams) -> Judgement:
    """Return the decision over every document of a shard.

    Raises:
        DataError: a profile looks at a statistic that was not taken.
    """
    annotations = read_table(evidence.annotations)
    statistics = statistics_of(annotations)
    if evidence.rewriting is not None:
        statistics |= statistics_of(read_table(evidence.rewriting))
    profiles = tuple(params.profile_name(source) for source in annotations["source"].to_pylist())
    decisions = decide(statistics, profiles, {name: params.profile_called(name) for name in set(profiles)})
    return Judgement(annotations.select(["id", "source", "bytes", "pretokens"]), statistics, profiles, decisions)


def statistics_of(table: pa.Table) -> dict[str, Any]:
    """Return the statistics of a table as arrays; NaN (an empty name) where one was not taken."""
    names = [name for name in table.column_names if name not in {"id", "source"}]
    return {name: _array(table[name]) for name in names}


def _array(column: pa.ChunkedArray) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=object)
    return column.to_numpy()
