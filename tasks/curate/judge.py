"""What the rules say of a shard: its tables of statistics read, its documents judged by the profile of their source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    """The profiles, by name, and which of them judges the documents of a source.

    `of_language`: where the documents of a profile are judged by their language, the profile that judges each.
    """

    profiles: Mapping[str, Profile]
    of_source: Mapping[str, str]
    of_language: Mapping[str, Mapping[str, str]] | None = None

    def by_language(self, profiles_N: Sequence[str], statistics: Values) -> tuple[str, ...]:
        """Return the name of the profile that judges each document, of those that have the profiles of their sources."""
        if self.of_language is None:
            return tuple(profiles_N)
        judged = zip(profiles_N, statistics["language"].tolist(), strict=True)
        return tuple(self.of_language.get(name, {}).get(language, name) for name, language in judged)


@dataclass(frozen=True)
class Judgement:
    """The documents of a shard and what the rules say of them; `sizes` has id, source, bytes and pretokens.

    `profiles` are those of the sources, `judged_by` those that judged.
    """

    sizes: pa.Table
    statistics: Values
    profiles: tuple[str, ...]
    judged_by: tuple[str, ...]
    decisions: Decisions

    def verdicts(self, judges: Judges) -> list[Verdict | None]:
        """Return why each document is dropped by a rule; None for those that pass."""
        return verdicts(self.statistics, self.decisions.failed_rule_N, self.judged_by, judges.profiles)


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
    judged_by = judges.by_language(profiles, statistics)
    decisions = _of_sources(decide(statistics, judged_by, judges.profiles), judges)
    sizes = annotations.select(["id", "source", "bytes", "pretokens"])
    return Judgement(sizes, statistics, profiles, judged_by, decisions)


def _of_sources(decisions: Decisions, judges: Judges) -> Decisions:
    """Return the decisions with what the profile of each language counted as that of the profile of the source."""
    if judges.of_language is None:
        return decisions
    base = {name: one for one, languages in judges.of_language.items() for name in languages.values()}
    documents: Counter[str] = Counter()
    failures: dict[str, Counter[str]] = {}
    for name, number in decisions.documents.items():
        documents[base.get(name, name)] += number
        failures.setdefault(base.get(name, name), Counter()).update(decisions.failures[name])
    ordered = sorted(documents)
    counts = {name: dict(failures[name]) for name in ordered}
    return replace(decisions, failures=counts, documents={name: documents[name] for name in ordered})


def statistics_of(table: pa.Table) -> dict[str, Any]:
    """Return the statistics of a table as arrays; NaN (an empty name) where one was not taken."""
    names = [name for name in table.column_names if name not in {"id", "source"}]
    return {name: _array(table[name]) for name in names}


def _array(column: pa.ChunkedArray) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=object)
    return column.to_numpy()
