"""The table of a comparison: the gain of each method over natural, with its spread over searches and over seeds.

Axes: K mixtures a method found (one per search seed; a baseline has one), T training seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tasks.comparison.published import ComparedModel, MethodGain, MethodRow
from tasks.core.errors import EvidenceError
from tasks.core.text_table import markdown_table

Array = npt.NDArray[np.float64]

NATURAL = "natural"
_HEAD = ("method", "objective", "gain over natural", "interval", "of single searches", "proxies")


def rows(trained: Sequence[ComparedModel], confidence: float) -> tuple[MethodRow, ...]:
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


def differences(trained: Sequence[ComparedModel], one: str, other: str) -> Array:
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


def gain_over(trained: Sequence[ComparedModel], ours: str, other: str, confidence: float) -> MethodGain:
    """Return a method's gain over another one, paired by search and training seed."""
    gains_K = differences(trained, ours, other)
    lower, upper = interval(gains_K, confidence)
    return MethodGain(gain=float(gains_K.mean()), lower=lower, upper=upper, searches=tuple(gains_K.tolist()))


def interval(gains_K: Array, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Return the t interval of a mean; none with fewer than two values."""
    if len(gains_K) < 2:
        return None, None
    half = float(student.ppf(0.5 + confidence / 2, len(gains_K) - 1) * gains_K.std(ddof=1) / len(gains_K) ** 0.5)
    return float(gains_K.mean()) - half, float(gains_K.mean()) + half


def markdown(found: Sequence[MethodRow]) -> str:
    """Return the rows as a table in Markdown."""
    return "\n".join(markdown_table(_HEAD, map(_cells, found))) + "\n"


def _cells(row: MethodRow) -> tuple[str, ...]:
    span = "" if row.lower is None or row.upper is None else f"{row.lower:+.4f} to {row.upper:+.4f}"
    single = ", ".join(f"{gain:+.4f}" for gain in row.searches) if len(row.searches) > 1 else ""
    return (row.method, f"{row.objective:.4f}", f"{row.gain:+.4f}", span, single, f"{row.proxies}")


def _row(method: str, own: Sequence[ComparedModel], natural: Mapping[int, float], confidence: float) -> MethodRow:
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
    lower, upper = (None, None) if method == NATURAL else interval(over, confidence)
    return MethodRow(
        method=method,
        objective=float(np.mean([each.objective for each in own])),
        gain=float(gains_KT.mean()),
        lower=lower,
        upper=upper,
        searches=tuple(gains_KT.mean(axis=1).tolist()),
        # A method's searches cost the same; what is said is the cost of one.
        proxies=max(each.proxies for each in own),
    )


def _by_search(trained: Sequence[ComparedModel], method: str) -> dict[int | None, dict[int, float]]:
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
