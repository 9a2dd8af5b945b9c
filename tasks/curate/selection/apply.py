"""Selection carried out on a shard: what is looked at of its documents, and who lies within what is kept.

Axes: N documents of a shard.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.tables import read_table
from tasks.curate.fates import SELECTION, UNKNOWN_LANGUAGE
from tasks.curate.judge import Judgement
from tasks.curate.rules.decide import Verdict
from tasks.curate.selection import kinds
from tasks.curate.selection.cuts import Candidates, Cut, read_cuts
from tasks.curate.verdicts import languages_of


def candidates_of(judged: Judgement, documents: pa.Table, scores: Mapping[str, NDArray[Any]]) -> Candidates:
    """Return what selection looks at of all documents of a shard."""
    languages = [language or UNKNOWN_LANGUAGE for language in languages_of(documents, judged)]
    groups = {"source": judged.sizes["source"].to_pylist(), "language": languages}
    return Candidates(
        np.array(judged.profiles, dtype=object),
        {name: np.array(values, dtype=object) for name, values in groups.items()},
        judged.sizes["pretokens"].to_numpy(),
        np.array([number_of(one) for one in judged.sizes["id"].to_pylist()], np.int64),
        {name: np.asarray(values, np.float64) for name, values in scores.items()},
    )


def number_of(document_id: str) -> int:
    """Return a number in [0, 2^53) that follows from an id."""
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8], "big") >> 11


def scores_of(tables: Sequence[Handle]) -> dict[str, NDArray[Any]]:
    """Return the columns of the tables of scorers."""
    found: dict[str, NDArray[Any]] = {}
    for table in tables:
        columns = read_table(table.local(), stage="curate")
        found |= {name: columns[name].to_numpy() for name in columns.column_names if name not in {"id", "source"}}
    return found


def statistics_as_scores(judged: Judgement, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return statistics that were taken of documents, NaN where they were not, as numbers to select by."""
    return {name: np.asarray(judged.statistics[name], np.float64) for name in names}


def select(verdicts: list[Verdict | None], cuts: Path, candidates: Candidates) -> None:
    """Set why a document that passes all else is not selected, for those that lie in no interval that is kept."""
    for cut in read_cuts(cuts):
        mine = [row for row, verdict in enumerate(verdicts) if verdict is None]
        there = candidates.take(np.array(mine, np.int64))
        chosen = np.flatnonzero((there.profiles_N == cut.profile) & (there.group_N(cut.selection) == cut.group))
        values, method = there.values(cut.selection, chosen), kinds.method(cut.selection)
        within = cut.interval.holds(method.key(cut.selection, values, cut.interval), values.id_N)
        for index in np.flatnonzero(~within).tolist():
            verdicts[mine[chosen[index]]] = _verdict(cut, float(values.score_N[index]))


def _verdict(cut: Cut, score: float) -> Verdict:
    name = cut.selection.score
    has = f"{name} {score:.6g}" if not math.isnan(score) else f"no {name}"
    return Verdict(SELECTION, f"not_selected_by_{name}", f"{has}; kept: {cut.told}")
