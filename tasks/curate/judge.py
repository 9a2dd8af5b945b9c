"""What the rules say of a shard: its tables of statistics read, its documents judged by the profile of their source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core.handles import Handle
from tasks.core.tables import read_table
from tasks.curate.rules.decide import Decisions, Verdict, decide, verdicts
from tasks.curate.rules.profile import Profile
from tasks.curate.rules.rule import Values


@dataclass(frozen=True)
class Evidence:
    """The tables about one shard, row for row: statistics, and those behind a rewriting (None: nothing is rewritten)."""

    annotations: Handle
    rewriting: Handle | None = None


@dataclass(frozen=True)
class Judges:
    """The profiles, by name, and which of them judges the documents of a source."""

    profiles: Mapping[str, Profile]
    of_source: Mapping[str, str]


@dataclass(frozen=True)
class Judgement:
    """The documents of a shard and what the rules say of them; `sizes` has id, source, bytes and pretokens."""

    sizes: pa.Table
    statistics: Values
    profiles: tuple[str, ...]
    decisions: Decisions

    def verdicts(self, judges: Judges) -> list[Verdict | None]:
        """Return why each document is dropped by a rule; None for those that pass."""
        return verdicts(self.statistics, self.decisions.failed_rule_N, self.profiles, judges.profiles)


def judge(evidence: Evidence, judges: Judges) -> Judgement:
    """Return the decision over every document of a shard.

    Raises:
        DataError: a profile looks at a statistic that was not taken.
    """
    annotations = read_table(evidence.annotations.local())
    statistics = statistics_of(annotations)
    if evidence.rewriting is not None:
        statistics |= statistics_of(read_table(evidence.rewriting.local()))
    profiles = tuple(judges.of_source[source] for source in annotations["source"].to_pylist())
    decisions = decide(statistics, profiles, judges.profiles)
    return Judgement(annotations.select(["id", "source", "bytes", "pretokens"]), statistics, profiles, decisions)


def statistics_of(table: pa.Table) -> dict[str, Any]:
    """Return the statistics of a table as arrays; NaN (an empty name) where one was not taken."""
    names = [name for name in table.column_names if name not in {"id", "source"}]
    return {name: _array(table[name]) for name in names}


def _array(column: pa.ChunkedArray) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=object)
    return column.to_numpy()
