"""Decide: thresholds over columns. The first failing rule drops a document; quality says how well the others pass.

Axes: N documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.curate.rules.gopher import RULES, Floats, Values, active_rules, explain, fails, head_room
from tasks.curate.rules.profile import Profile

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


def decide(statistics: Values, profiles_N: Sequence[str], profiles: Mapping[str, Profile]) -> Decisions:
    """Return the decision over every document under the profile named for it."""
    number = len(profiles_N)
    failed_rule_N, quality_N = np.full(number, PASSES, np.int64), np.zeros(number)
    names_N = np.array(profiles_N, dtype=object)
    failures, documents = {}, {}
    for name in sorted(set(profiles_N)):
        rows = np.flatnonzero(names_N == name)
        values = {column: statistics[column][rows] for column in {rule.statistic for rule in RULES}}
        failed_rule_N[rows], failures[name] = _first_failures(values, profiles[name], len(rows))
        quality_N[rows] = quality(values, profiles[name], len(rows))
        documents[name] = len(rows)
    return Decisions(failed_rule_N, quality_N, failures, documents)


def quality(statistics: Values, profile: Profile, number: int) -> Floats:
    """Return the mean head-room over a profile's rules, in [0, 1]. A heuristic: no model has looked at the text.

    The head-room of "at most t" is 1 - value / t; of "at least t" it is value / t - 1, no more than 1. So a text is
    good when it is far from being dropped by any rule. A profile without rules gives 1.
    """
    rules = active_rules(profile)
    total = np.zeros(number)
    for _, rule, threshold in rules:
        total += head_room(rule, threshold, statistics[rule.statistic])
    return total / len(rules) if rules else np.ones(number)


def why_dropped(statistics: Values, row: int, failed_rule: int, profile: Profile) -> tuple[str, str, str]:
    """Return (filter, reason, detail) of a document that fails the rule with index `failed_rule`."""
    rule, threshold = next((rule, threshold) for i, rule, threshold in active_rules(profile) if i == failed_rule)
    return rule.filter, rule.reason, explain(rule, threshold, statistics[rule.statistic][row].item())


def _first_failures(statistics: Values, profile: Profile, number: int) -> tuple[NDArray[np.int64], dict[str, int]]:
    first, failures = np.full(number, PASSES, np.int64), {}
    for index, rule, threshold in active_rules(profile):
        failing = fails(rule, threshold, statistics[rule.statistic])
        first[failing & (first == PASSES)] = index
        failures[rule.reason] = int(failing.sum())
    return first, failures
