"""What scorers share that a rater teaches: a sample of the pool for it to read, and where its answers come from.

The rater is a language model behind an endpoint, or whoever made files of the same. The sample follows from the ids of
documents, so that shards do not matter: of each shard those of the lowest hashes, and of these the lowest.
"""

from collections.abc import Iterable, Set
from typing import Annotated

import pyarrow as pa
from pydantic import Field, PositiveInt

from tasks.core.asking import Endpoint
from tasks.core.rng import seed_of
from tasks.curate.scorers.method import Documents, ScorerParams

ANSWERS = "answers"
# What it has learned from, published: an endpoint's answers, or what stood in the files.
LEARNED_FROM = "answers.jsonl"


class RatedParams(ScorerParams):
    """Params of a scorer that learns from a rater.

    Attributes:
        endpoint: the language model that is asked; None: the answers are in files.
        num_documents: how many documents it is asked about, chosen by a hash of `seed` and id.
        excerpt_chars: characters of a document that it is shown.
        num_buckets: words and pairs of words are told apart by their hash modulo this number.
    """

    endpoint: Endpoint | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    num_documents: Annotated[int, Field(ge=2, le=1_000_000)] = 1_000
    excerpt_chars: PositiveInt = 2_000
    num_buckets: Annotated[int, Field(ge=2, le=10_000_000)] = 1 << 18

    def sources(self, *files: str) -> Iterable[str]:
        """Return what is wrong where not exactly one of the endpoint and the files called `files` is named."""
        given = [name for name in files if getattr(self, name)]
        if bool(given) == (self.endpoint is not None):
            yield f"name {files[0]} (files), or an endpoint to be asked; one of them"


def looked_at(documents: Documents, seed: int, count: int, ids: Set[str] | None) -> pa.Table:
    """Return key, id and text of documents: those of `ids`, or, where that is None, the `count` of the lowest hashes."""
    names = documents.table["id"].to_pylist()
    keys = [f"{seed_of(seed, 'rated', name):032x}" for name in names]
    rows = sorted(range(len(names)), key=lambda row: (keys[row], names[row]))
    chosen = rows[:count] if ids is None else [row for row in rows if names[row] in ids]
    texts = documents.to_arrow().take(pa.array(chosen, pa.int64()))
    return pa.table({"key": [keys[row] for row in chosen], "id": [names[row] for row in chosen], "text": texts})


def sample(looks: Iterable[pa.Table], count: int | None) -> dict[str, str]:
    """Return the texts of the sample by id, in the order of their hashes; None: all that were looked at."""
    rows = sorted(
        row for look in looks for row in zip(*(look[name].to_pylist() for name in look.column_names), strict=True)
    )
    return {name: text for _, name, text in rows[:count]}
