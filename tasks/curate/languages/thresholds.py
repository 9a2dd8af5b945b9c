"""How a threshold follows from the statistics of a reference. Axes: N documents of a reference."""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tasks.curate.languages.params import Languages, Method
from tasks.curate.rules.rule import Rule

Floats = NDArray[np.float64]
# What is said of a threshold; the last bits of a mean may differ between processors.
_DIGITS = 6


def threshold(config: Languages, rule: Rule, own_N: Floats, english: tuple[Floats, float] | None) -> float:
    """Return the threshold of a rule in a language; `english`: the same statistic in English, and its threshold there.

    It is never below 0, nor above what makes sense for the rule.
    """
    found = _tail(rule, own_N, config.tail) if config.tail is not None else _carried(config.method, own_N, english)
    return round(float(np.clip(found, 0.0, rule.largest)), _DIGITS)


def _tail(rule: Rule, own_N: Floats, tail: float) -> float:
    return float(np.quantile(own_N, 1 - tail if rule.side == "at_most" else tail))


def _carried(method: Method, own_N: Floats, english: tuple[Floats, float] | None) -> float:
    assert english is not None, "asked for when the params were made"
    english_N, limit = np.sort(english[0]), english[1]
    own_N = np.sort(own_N)
    match method:
        case "mean_sd":
            spread = float(english_N.std())
            return float(own_N.mean() + (limit - english_N.mean()) / spread * own_N.std()) if spread else limit
        case "quantile":
            return float(np.quantile(own_N, float((english_N <= limit).mean())))
        case "median_ratio":
            median = float(np.median(english_N))
            return float(limit * np.median(own_N) / median) if median else limit
        case "tail":
            raise AssertionError("a tail needs no English")
        case _ as other:
            assert_never(other)
