"""The table of a comparison: the gain of each method over natural, with its spread over searches and over seeds.

Axes: K mixtures a method found (one per search seed; a baseline has one), T training seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.core.errors import EvidenceError

Array = npt.NDArray[np.float64]

NATURAL = "natural"
_HEAD = ("method", "objective", "gain over natural", "interval", "of single searches", "proxies")


@dataclass(frozen=True)
class Trained:
    """One model: which method found its mixture, in which search, its training seed, and the objective on the test split.

    `search` is the search's seed, None for a baseline; `objective` is a weighted mean of bits per byte.
    """

    method: str
    search: int | None
    seed: int
    objective: float
    proxies: int


@dataclass(frozen=True)
class Row:
    """A line of the table, in bits per byte; gains are natural - method, so more is better.

    `lower` to `upper` is a t interval over searches (for a baseline: over training seeds); `searches` are the gains of the
    single searches, each a mean over training seeds. NaN where there is nothing to compute an interval of: one search, or
    natural beside itself.
    """

    method: str
    objective: float
    gain: float
    lower: float
    upper: float
    searches: tuple[float, ...]
    proxies: int

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON value; an interval that is none is null."""
        value = vars(self) | {"searches": list(self.searches)}
        return {name: None if isinstance(each, float) and isnan(each) else each for name, each in value.items()}


def rows(trained: Sequence[Trained], confidence: float) -> tuple[Row, ...]:
    """Return one row per method, the best gain first.

    Raises:
        EvidenceError: natural was not trained, or with other seeds than a method.
    """
    natural = {each.seed: each.objective for each in trained if each.method == NATURAL}
    if not natural:
        raise EvidenceError(
            "natural was not trained, so nothing can be compared with it. Train it with the same seeds."
        )
    methods = dict.fromkeys(each.method for each in trained)
    found = [
        _row(method, [each for each in trained if each.method == method], natural, confidence) for method in methods
    ]
    return tuple(sorted(found, key=lambda row: -row.gain))


def differences(trained: Sequence[Trained], one: str, other: str) -> Array:
    """Return objective(other) - objective(one) per search seed, shape [K], each a mean over training seeds.

    A baseline, which has no search seed, stands against every search of the other method.
    """
    ours, theirs = _by_search(trained, one), _by_search(trained, other)
    ours, theirs = _under(theirs, ours), _under(ours, theirs)
    gains = [
        np.mean([theirs[search][seed] - ours[search][seed] for seed in sorted(ours[search])])
        for search in ours
        if search in theirs
    ]
    return np.array(gains)


def interval(gains_K: Array, confidence: float) -> tuple[float, float]:
    """Return the t interval of a mean; NaN with fewer than two values."""
    if len(gains_K) < 2:
        return float("nan"), float("nan")
    half = float(student.ppf(0.5 + confidence / 2, len(gains_K) - 1) * gains_K.std(ddof=1) / len(gains_K) ** 0.5)
    return float(gains_K.mean()) - half, float(gains_K.mean()) + half


def markdown(found: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for row in found:
        span = "" if isnan(row.lower) else f"{row.lower:+.4f} to {row.upper:+.4f}"
        single = ", ".join(f"{gain:+.4f}" for gain in row.searches) if len(row.searches) > 1 else ""
        cells = (row.method, f"{row.objective:.4f}", f"{row.gain:+.4f}", span, single, f"{row.proxies}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _row(method: str, own: Sequence[Trained], natural: Mapping[int, float], confidence: float) -> Row:
    strangers = sorted({each.seed for each in own} ^ {*natural})
    if strangers:
        raise EvidenceError(
            f"{method}: {len(strangers)} training seed(s) have no partner in natural; first: {strangers[0]}. Train every "
            "mixture with the same seeds."
        )
    searches = _by_search(own, method)
    gains_KT = np.array([[natural[seed] - values[seed] for seed in sorted(values)] for values in searches.values()])
    # One search of a method says nothing about its next one, with however many seeds its mixture was trained.
    over = gains_KT[0] if list(searches) == [None] else gains_KT.mean(axis=1)
    lower, upper = (float("nan"), float("nan")) if method == NATURAL else interval(over, confidence)
    mean = float(np.mean([each.objective for each in own]))
    # A method's searches cost the same; what is told is the cost of one.
    proxies = max(each.proxies for each in own)
    return Row(method, mean, float(gains_KT.mean()), lower, upper, tuple(gains_KT.mean(axis=1).tolist()), proxies)


def _by_search(trained: Sequence[Trained], method: str) -> dict[int | None, dict[int, float]]:
    found: dict[int | None, dict[int, float]] = {}
    for each in trained:
        if each.method == method:
            found.setdefault(each.search, {})[each.seed] = each.objective
    return found


def _under(
    searches: dict[int | None, dict[int, float]], own: dict[int | None, dict[int, float]]
) -> dict[int | None, dict[int, float]]:
    """Return a baseline's results under every search of another method; those of a method that searches as they are."""
    return dict.fromkeys(searches, own[None]) if list(own) == [None] else own
