"""What was learned of topics, and the topics of documents, read. Axes: N documents, K topics."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.core.handles import Handle, Tree
from tasks.core.tables import read_table

TOPICS = "topics.json"


def topics_of(learned: Tree) -> tuple[list[tuple[str, str]], dict[str, int | float]]:
    """Return the names and descriptions of topics, and what is told of how they were learned."""
    topics, told = json.loads(learned[TOPICS].text())
    return [(name, description) for name, description in topics], told


def load_scores(topics: Sequence[Handle]) -> NDArray[np.float64]:
    """Return the logits of the topics of all documents, float64 [N, K]."""
    return np.array([row for one in topics for row in read_table(one.local())["score"].to_pylist()])
