"""What was selected by scores: how each score lies among the documents that passed all else, and what each source kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.tables import read_table
from tasks.curate.fates import SELECTION
from tasks.curate.published.documents import CANDIDATES, DROPPED
from tasks.curate.published.scored import Scored
from tasks.curate.selection.apply import number_of
from tasks.curate.selection.documents import Candidates, read_candidates

_BINS = 40
# A bin at each end has what lies beyond these shares of the documents.
_ENDS = (0.005, 0.995)


@dataclass(frozen=True)
class ScoreHistogram:
    """How many documents have a score in each bin, and how many of these were selected; `edges` has one number more.

    The first and the last bin have what lies beyond them too. `without` documents have no score.
    """

    name: str
    edges: tuple[float, ...]
    passed: tuple[int, ...]
    selected: tuple[int, ...]
    without: int


@dataclass(frozen=True)
class SelectedSource:
    """One source: documents and tokens that passed all else, and those of them that were selected."""

    name: str
    passed: int
    selected: int
    passed_tokens: int
    selected_tokens: int


@dataclass(frozen=True)
class Selection:
    """What scorers and selections did; `scored` is what they tell themselves."""

    scored: Scored
    histograms: tuple[ScoreHistogram, ...]
    sources: tuple[SelectedSource, ...]


def read_selection(curate: Path) -> Selection | None:
    """Return what was selected by scores; None where nothing was scored or selected.

    Raises:
        DataError: a file is damaged.
    """
    tables = sorted((curate / CANDIDATES).glob("*.parquet"))
    if not tables:
        return None
    scored, (candidates, _) = Scored.read(curate), read_candidates(tables)
    selected_N = ~np.isin(candidates.id_N, _not_selected(curate))
    histograms = (_histogram(name, values, selected_N) for name, values in candidates.scores.items())
    return Selection(scored, tuple(one for one in histograms if one is not None), _sources(candidates, selected_N))


def _not_selected(curate: Path) -> NDArray[np.int64]:
    found: list[int] = []
    for path in sorted((curate / DROPPED).glob("*.parquet")):
        rows = read_table(path, ("id", "filter"), stage="curate").to_pylist()
        found += [number_of(row["id"]) for row in rows if row["filter"] == SELECTION]
    return np.array(found, np.int64)


def _histogram(name: str, score_N: NDArray[np.float64], selected_N: NDArray[np.bool_]) -> ScoreHistogram | None:
    has_N = np.isfinite(score_N)
    if not has_N.any():
        return None
    low, high = np.quantile(score_N[has_N], _ENDS)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)

    def counted(which_N: NDArray[np.bool_]) -> tuple[int, ...]:
        counts, _ = np.histogram(np.clip(score_N[has_N & which_N], low, high), edges)
        return tuple(counts.tolist())

    everyone = counted(np.ones(len(score_N), np.bool_))
    return ScoreHistogram(name, tuple(edges.tolist()), everyone, counted(selected_N), int((~has_N).sum()))


def _sources(candidates: Candidates, selected_N: NDArray[np.bool_]) -> tuple[SelectedSource, ...]:
    rows: Mapping[str, NDArray[np.int64]] = candidates.rows_by(("source",))
    found = []
    for name, own in rows.items():
        kept, tokens_N = selected_N[own], candidates.tokens_N[own]
        found.append(SelectedSource(name, len(own), int(kept.sum()), int(tokens_N.sum()), int(tokens_N[kept].sum())))
    return tuple(sorted(found, key=lambda one: (-one.passed_tokens, one.name)))
