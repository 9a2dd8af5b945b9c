"""Numbers by chance: what a scorer must beat, and how documents are drawn at random by a selection of the highest scores."""

from hashlib import blake2b
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tasks.curate.scorers.method import Documents, Given, ScorerMethod, ScorerParams
from tasks.curate.statistics.texts import Columns


class RandomOrder(ScorerParams):
    """A number in [0, 1) that follows from `seed` and the document's id alone: another seed is another order."""

    kind: Literal["random"] = "random"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def _load(config: RandomOrder, given: Given) -> None:
    return None


def _score(config: RandomOrder, documents: Documents, held: None) -> Columns:
    key = config.seed.to_bytes(8)
    hashes = (blake2b(name.encode(), digest_size=8, key=key) for name in documents.table["id"].to_pylist())
    # 53 bits: every one of them is told apart as a float.
    return {"": np.array([int.from_bytes(one.digest()) >> 11 for one in hashes], np.float64) / 2.0**53}


METHOD = ScorerMethod(("",), _score, _load)
