"""What a rule is: a statistic on one side of a threshold, or one of the values allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

Values = Mapping[str, NDArray[Any]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Threshold = float | tuple[str, ...]
Side = Literal["at_least", "at_most", "one_of"]


@dataclass(frozen=True)
class Rule:
    """`statistic` must be at least, at most or one of the profile's `threshold`; else a document is dropped for `reason`.

    `group` computes the statistic. `peer_reason` is what the tool whose rule this is calls it, where it has one.
    """

    threshold: str
    statistic: str
    side: Side
    filter: str
    reason: str
    group: str
    peer_reason: str | None = None

    @property
    def largest(self) -> float:
        """The largest threshold that makes sense: 1 for a fraction, else none."""
        return 1.0 if self.statistic.endswith("_fraction") else float("inf")


def fails(rule: Rule, threshold: Threshold, values: NDArray[Any]) -> Bools:
    """Return which values do not satisfy a rule; NaN never does."""
    match rule.side:
        case "at_least":
            return ~(values >= threshold)
        case "at_most":
            return ~(values <= threshold)
        case "one_of":
            return ~np.isin(values.astype(str), list(_names(threshold)))
        case _ as other:
            assert_never(other)


def head_room(rule: Rule, threshold: Threshold, values: NDArray[Any]) -> Floats:
    """Return how far values are inside a threshold, in [0, 1].

    "At most t" gives 1 - value / t; "at least t" gives value / t - 1, no more than 1; "one of" gives 1 or 0.
    """
    match rule.side:
        case "at_least":
            # At twice the threshold there is nothing left to wish for; no threshold above 0 is no demand.
            low = _number(threshold)
            return np.clip(values / low - 1.0, 0.0, 1.0) if low > 0 else np.ones(len(values))
        case "at_most":
            high = _number(threshold)
            ratio = values / high if high > 0 else np.where(values > 0, np.inf, 0.0)
            return np.clip(1.0 - ratio, 0.0, 1.0)
        case "one_of":
            return (~fails(rule, threshold, values)).astype(np.float64)
        case _ as other:
            assert_never(other)


def explain(rule: Rule, threshold: Threshold, value: Any) -> str:
    """Return the failed comparison in words, exact enough to show the difference.

    >>> explain(Rule("min_words", "words", "at_least", "f", "too_few_words", "gopher"), 50, 31)
    'words 31 < 50'
    """
    if rule.side == "one_of":
        return f"{rule.statistic} {value} is not one of {', '.join(_names(threshold))}"
    limit = _number(threshold)
    short = f"{value:.4g}"
    # A value that only just fails must not look as if it passed.
    passes = float(short) >= limit if rule.side == "at_least" else float(short) <= limit
    return f"{rule.statistic} {repr(value) if passes else short} {'<' if rule.side == 'at_least' else '>'} {limit:g}"


def _number(threshold: Threshold) -> float:
    assert not isinstance(threshold, tuple), "a profile is checked when it is made"
    return float(threshold)


def _names(threshold: Threshold) -> tuple[str, ...]:
    assert isinstance(threshold, tuple), "a profile is checked when it is made"
    return threshold
