"""The rules of Gopher (Rae et al. 2021, appendix A1.1 and table A1): which statistic, which side, which reason.

The order is that of decisions: a document is dropped by the first rule it fails. Quality comes before repetition,
because a fraction of repeated characters says little about a text of ten words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tasks.curate.rules.profile import Profile
from tasks.curate.statistics.ngrams import DUPLICATE_LENGTHS, TOP_LENGTHS

Values = Mapping[str, NDArray[Any]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """`statistic` must be at least, or at most, the profile's `threshold`; else a document is dropped for `reason`."""

    threshold: str
    statistic: str
    side: Literal["at_least", "at_most"]
    filter: Literal["gopher_quality", "gopher_repetition"]
    reason: str


def _quality(threshold: str, statistic: str, side: Literal["at_least", "at_most"], reason: str) -> Rule:
    return Rule(threshold, statistic, side, "gopher_quality", reason)


def _repetition(statistic: str, reason: str) -> Rule:
    return Rule(f"max_{statistic}", statistic, "at_most", "gopher_repetition", reason)


RULES = (
    _quality("min_words", "words", "at_least", "too_few_words"),
    _quality("max_words", "words", "at_most", "too_many_words"),
    _quality("min_mean_word_chars", "mean_word_chars", "at_least", "mean_word_too_short"),
    _quality("max_mean_word_chars", "mean_word_chars", "at_most", "mean_word_too_long"),
    _quality("max_hash_word_ratio", "hash_word_ratio", "at_most", "too_many_hash_symbols"),
    _quality("max_ellipsis_word_ratio", "ellipsis_word_ratio", "at_most", "too_many_ellipses"),
    _quality("max_bullet_line_fraction", "bullet_line_fraction", "at_most", "too_many_bullet_lines"),
    _quality("max_ellipsis_line_fraction", "ellipsis_line_fraction", "at_most", "too_many_ellipsis_lines"),
    _quality("min_alphabetic_word_fraction", "alphabetic_word_fraction", "at_least", "too_few_alphabetic_words"),
    _quality("min_stop_words", "stop_words", "at_least", "too_few_stop_words"),
    _repetition("duplicate_line_fraction", "too_many_duplicate_lines"),
    _repetition("duplicate_paragraph_fraction", "too_many_duplicate_paragraphs"),
    _repetition("duplicate_line_char_fraction", "too_many_characters_in_duplicate_lines"),
    _repetition("duplicate_paragraph_char_fraction", "too_many_characters_in_duplicate_paragraphs"),
    *(_repetition(f"top_{n}_gram_char_fraction", f"too_many_characters_in_top_{n}_gram") for n in TOP_LENGTHS),
    *(
        _repetition(f"duplicate_{n}_gram_char_fraction", f"too_many_characters_in_duplicate_{n}_grams")
        for n in DUPLICATE_LENGTHS
    ),
)


def active_rules(profile: Profile) -> list[tuple[int, Rule, float]]:
    """Return (index in `RULES`, rule, threshold) of every rule the profile has not turned off, in order."""
    thresholds = profile.model_dump()
    return [
        (i, rule, thresholds[rule.threshold]) for i, rule in enumerate(RULES) if thresholds[rule.threshold] is not None
    ]


def fails(rule: Rule, threshold: float, values: NDArray[Any]) -> Bools:
    """Return which values do not satisfy a rule; NaN never does."""
    match rule.side:
        case "at_least":
            return ~(values >= threshold)
        case "at_most":
            return ~(values <= threshold)
        case _ as other:
            assert_never(other)


def head_room(rule: Rule, threshold: float, values: NDArray[Any]) -> Floats:
    """Return how far values are inside a threshold, in [0, 1]; see `quality` for the meaning."""
    ratio = values / threshold if threshold > 0 else np.where(values > 0, np.inf, 0.0)
    match rule.side:
        case "at_least":
            # At twice the threshold there is nothing left to wish for; no threshold above 0 is no demand.
            return np.clip(ratio - 1.0, 0.0, 1.0) if threshold > 0 else np.ones(len(values))
        case "at_most":
            return np.clip(1.0 - ratio, 0.0, 1.0)
        case _ as other:
            assert_never(other)


def explain(rule: Rule, threshold: float, value: float) -> str:
    """Return the failed comparison in words, exact enough to show the difference.

    >>> explain(RULES[0], 50, 31)
    'words 31 < 50'
    """
    short = f"{value:.4g}"
    shown = short if fails(rule, threshold, np.array([float(short)]))[0] else repr(value)
    return f"{rule.statistic} {shown} {'<' if rule.side == 'at_least' else '>'} {threshold:g}"
