"""The share of letters that are capitals, less the pool's: a scorer with a learning pass."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams
from tasks.curate.statistics.texts import Columns


class Capitals(ScorerParams):
    """Has no params of its own."""

    kind: Literal["capitals"] = "capitals"


def _look(config: Capitals, documents: Documents, files: Files) -> pa.Table:
    every = "".join(documents.to_list())
    return pa.table({"capitals": [sum(map(str.isupper, every))], "letters": [sum(map(str.isalpha, every))]})


def _learn(config: Capitals, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    table = pa.concat_tables(looks)
    share = sum(table["capitals"].to_pylist()) / sum(table["letters"].to_pylist())
    (folder / "share").write_text(repr(share))
    return {"share": share}


def _score(config: Capitals, documents: Documents, held: float) -> Columns:
    shares = [sum(map(str.isupper, text)) / max(1, sum(map(str.isalpha, text))) for text in documents.to_list()]
    return {"": np.array(shares) - held}


def _load(config: Capitals, given: Given) -> float:
    assert given.learned is not None
    return float((given.learned / "share").read_text())


METHOD = ScorerMethod(("",), _score, _load, learning=LearningPass(_look, _learn))
