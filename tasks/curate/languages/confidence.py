"""The unit that learns how sure the identifier of languages must be: of the pool, by language. Axis: N documents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.core.tables import read_table

# What is said of a threshold; the last bits of a mean may differ between processors.
_DIGITS = 6


@dataclass(frozen=True)
class ConfidenceArgs:
    """The statistics of every shard, and between which limits the least confidence of a language lies."""

    annotations: tuple[Handle, ...]
    lowest: float
    highest: float


def least_confidence(scores_N: NDArray[np.float64], lowest: float, highest: float) -> float:
    """Return the median less one standard deviation, within limits (Penedo et al. 2025, arXiv 2506.20920).

    >>> least_confidence(np.array([0.5, 0.7, 0.9]), 0.3, 0.9), least_confidence(np.array([0.1]), 0.3, 0.9)
    (0.536701, 0.3)
    """
    ordered = np.sort(scores_N)
    return round(max(lowest, min(highest, float(np.median(ordered) - ordered.std()))), _DIGITS)


def learn_confidence(args: ConfidenceArgs, here: Here) -> UnitResult:
    """Return in the summary, for each identified language, its documents and the least confidence that they need."""
    languages, scores = [], []
    for handle in args.annotations:
        table = read_table(handle.local(), ("language", "language_score"))
        languages += table["language"].to_pylist()
        scores.append(table["language_score"].to_numpy())
    names_N, scores_N = np.array([name or "" for name in languages], dtype=object), np.concatenate(scores)
    found = {}
    for name in sorted({*names_N.tolist()} - {""}):
        own = scores_N[names_N == name].astype(np.float64)
        found[name] = {"documents": len(own), "least_confidence": least_confidence(own, args.lowest, args.highest)}
    return UnitResult(summary={"languages": found})
