"""Selection on a shard: what is looked at of its documents, and what has become of them.

Axes: N documents of a shard.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.handles import Handle
from tasks.core.tables import read_table
from tasks.curate.fates import SELECTION, UNKNOWN_LANGUAGE
from tasks.curate.judge import Judgement
from tasks.curate.rules.decide import Verdict
from tasks.curate.selection.documents import Candidates
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


def select(verdicts: list[Verdict | None], chosen: Handle) -> NDArray[np.float64]:
    """Set why documents that pass all else are not selected, and return what each document weighs, [N].

    `chosen` has a row for each document that passes.
    """
    table = read_table(chosen.local())
    weight_N = np.ones(len(verdicts))
    mine = [row for row, verdict in enumerate(verdicts) if verdict is None]
    weight_N[mine] = table["weight"].to_numpy()
    for row, reason, detail in zip(mine, table["reason"].to_pylist(), table["detail"].to_pylist(), strict=True):
        if reason is not None:
            verdicts[row] = Verdict(SELECTION, reason, detail)
    return weight_N
