"""Mean vectors of domains, from a sample of each one's documents of the train split.

Axes: N domains, D dimensions.
"""

import heapq
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.cluster.published.assignments import ASSIGNMENTS, read_assignments
from tasks.core.errors import DataError
from tasks.core.rng import seed_of
from tasks.core.threads import one_thread
from tasks.curate.published.documents import KEPT, read_shard
from tasks.embedding import kinds
from tasks.embedding.kinds import Embedder


def sampled_texts(curated: Path, clustered: Path, number: int, seed: int) -> dict[int, list[str]]:
    """Return the texts of up to `number` documents of each domain, chosen by the hash of their ids.

    Raises:
        DataError: the shards of both are not those of each other.
    """
    found: dict[int, list[tuple[int, str]]] = {}
    for path in sorted((curated / KEPT).glob("*.parquet")):
        documents, assigned = (
            read_shard(path, ("id", "text")),
            read_assignments(clustered / ASSIGNMENTS / path.name, ("id", "domain", "split")),
        )
        if not documents["id"].equals(assigned["id"]):
            raise DataError(f"{clustered}: its {path.name} is not of the documents in {curated}. Run cluster on these.")
        columns = (assigned["id"], assigned["domain"], assigned["split"], documents["text"])
        for name, domain, split, text in zip(*(column.to_pylist() for column in columns), strict=True):
            if split == "train":
                own = found.setdefault(domain, [])
                own.append((seed_of(seed, "domain sample", name), text))
    return {domain: [text for _, text in heapq.nsmallest(number, own)] for domain, own in sorted(found.items())}


def mean_vectors(
    texts: Mapping[int, list[str]], embedder: Embedder, max_chars: int, seed: int, folder: Path
) -> npt.NDArray[np.float64]:
    """Return the mean of each domain's vectors, [N, D], in the order of `texts`; `folder` is for what is learned."""
    short = [[text[:max_chars] for text in own] for own in texts.values()]
    with one_thread():
        files = kinds.model_files(embedder)
        if kinds.sample_size(embedder) is not None:
            kinds.learn(embedder, [text for own in short for text in own], seed, folder)
        embed = kinds.load(embedder, folder if files is None else files.folder)
        return np.stack([embed(own).astype(np.float64).mean(axis=0) for own in short])
