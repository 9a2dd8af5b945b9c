"""Decide: thresholds over columns. The first failing rule drops a document.

Axes: N documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.curate.profiles import built_in
from tasks.curate.rules.profile import Profile
from tasks.curate.rules.rule import Bools, Floats, Rule, Threshold, Values, explain, fails, head_room
from tasks.curate.rules.table import INDEX, RULES

PASSES = -1


@dataclass(frozen=True)
class Decisions:
    """What the rules say of N documents.

    `failed_rule_N`: index in `RULES` of the first rule a document fails, or `PASSES`. `quality_N`: in [0, 1].
    `failures`: per profile and reason, how many documents fail that rule, whether or not an earlier one dropped them.
    `documents`: per profile, how many documents it judged.
    """

    failed_rule_N: NDArray[np.int64]
    quality_N: Floats
    failures: Mapping[str, Mapping[str, int]]
    documents: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """Why a document is dropped: which filter, for what reason, and the comparison that failed."""

    filter: str
    reason: str
    detail: str


def decide(statistics: Values, profiles_N: Sequence[str], profiles: Mapping[str, Profile]) -> Decisions:
    """Return the decision over every document under the profile named for it.

    Raises:
        DataError: a profile looks at a statistic that was not taken.
    """
    number = len(profiles_N)
    failed_rule_N = np.full(number, PASSES, np.int64)
    names_N = np.array(profiles_N, dtype=object)
    failures, documents = {}, {}
    for name in sorted(set(profiles_N)):
        rows = np.flatnonzero(names_N == name)
        failing = failing_rules(statistics, rows, profiles[name])
        failures[name] = {rule.reason: int(failed.sum()) for rule, failed in failing}
        failed_rule_N[rows] = _first(failing, len(rows))
        documents[name] = len(rows)
    return Decisions(failed_rule_N, quality(statistics, number), failures, documents)


def failing_rules(statistics: Values, rows: NDArray[np.int64], profile: Profile) -> list[tuple[Rule, Bools]]:
    """Return (rule, which of the rows fail it) of every active rule, in the order of decision."""
    return [(rule, fails(rule, threshold, _column(statistics, rule)[rows])) for _, rule, threshold in profile.active]


def verdicts(
    statistics: Values, failed_rule_N: NDArray[np.int64], profiles_N: Sequence[str], profiles: Mapping[str, Profile]
) -> list[Verdict | None]:
    """Return why each document is dropped by a rule; None for those that pass."""
    found: list[Verdict | None] = [None] * len(profiles_N)
    thresholds = {
        name: {rule.threshold: limit for _, rule, limit in profile.active} for name, profile in profiles.items()
    }
    for index in np.unique(failed_rule_N[failed_rule_N != PASSES]).tolist():
        rule, rows = RULES[index], np.flatnonzero(failed_rule_N == index)
        for row, value in zip(rows.tolist(), statistics[rule.statistic][rows].tolist(), strict=True):
            name = profiles_N[row]
            found[row] = verdict(rule, thresholds[name][rule.threshold], value, profiles[name])
    return found


def verdict(rule: Rule, threshold: Threshold, value: float, profile: Profile) -> Verdict:
    """Return why a value fails a rule, in the words the profile asks for."""
    detail = explain(rule, threshold, value)
    if profile.reasons == "datatrove" and rule.peer_reason is not None:
        return Verdict(rule.filter, rule.peer_reason, f"{rule.reason}: {detail}")
    return Verdict(rule.filter, rule.reason, detail)


def _column(statistics: Values, rule: Rule) -> NDArray[np.generic]:
    if rule.statistic not in statistics:
        raise DataError(
            f"the statistic {rule.statistic} was not taken, but the rule {rule.threshold} looks at it. "
            f"Add its group to curate.annotate ({rule.group}) and run curate again."
        )
    return statistics[rule.statistic]


def _first(failing: Sequence[tuple[Rule, Bools]], number: int) -> NDArray[np.int64]:
    first = np.full(number, PASSES, np.int64)
    for rule, failed in reversed(failing):
        first[failed] = INDEX[rule.threshold]
    return first


# Who counted, the first that did has the say: words between blanks, datatrove's tokens, DCLM's. The limits are those that
# the Gopher paper, datatrove and DCLM publish for them.
_LIMITS_OF = (("gopher", "gopher"), ("english", "datatrove"), ("rewriting", "refinedweb"))
_RATES = ("_fraction", "_ratio")


def quality(statistics: Values, documents: int) -> Floats:
    """Return the mean head-room of so many documents under the published limits on rates, in [0, 1].

    1 where nothing was counted that they look at.
    """
    found_N = np.full(documents, np.nan)
    for group, profile in _LIMITS_OF:
        rates = _rates(group, profile)
        if all(rule.statistic in statistics for rule, _ in rates):
            mean_N = sum(head_room(rule, limit, statistics[rule.statistic]) for rule, limit in rates) / len(rates)
            found_N = np.where(np.isnan(found_N), mean_N, found_N)
    return np.where(np.isnan(found_N), 1.0, found_N)


@cache
def _rates(group: str, profile: str) -> tuple[tuple[Rule, Threshold], ...]:
    active = built_in(profile).active
    return tuple((rule, limit) for _, rule, limit in active if rule.group == group and rule.statistic.endswith(_RATES))
