"""Documents as vectors, and similarities that are exact: no shard, block, thread or machine changes their order.

Axes: N documents, M others, D dimensions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.handles import Handle
from tasks.curate.statistics.shards import TextSource

# Sums of products of whole numbers are exact in float32 below 2**24, in any order: two vectors of this length have none
# above, up to 9,000 dimensions (each number is rounded by a half at most). A cosine is so known to about 1e-4.
_SCALE = 4_000
_MAX_DIMENSIONS = 9_000


@dataclass(frozen=True)
class EmbeddedDocuments:
    """N documents: ids, sources, and vectors of length 1 (or 0: nothing is known of the text), float32 [N, D].

    `shards` are where their texts lie.
    """

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    vectors_ND: npt.NDArray[np.float32]
    shards: tuple[TextSource, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.sources) == len(self.vectors_ND):
            raise ValueError(f"{len(self.ids)} ids, {len(self.sources)} sources, {len(self.vectors_ND)} vectors")

    def __len__(self) -> int:
        return len(self.ids)

    def texts(self, ids: Sequence[str]) -> list[str]:
        """Return the texts of some of the documents, in the order of `ids`; they are read now."""
        wanted, found = pa.array(ids, pa.string()), dict[str, str]()
        for shard in self.shards:
            table = shard.read(("id", "text"))
            table = table.filter(pc.is_in(table["id"], wanted))
            found |= zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
        return [found[name] for name in ids]


@dataclass(frozen=True)
class EmbeddedShard:
    """A shard of documents and the file of their vectors."""

    texts: TextSource
    vectors: Handle

    def read(self) -> EmbeddedDocuments:
        """Return its documents."""
        table = self.texts.read(("id", "source"))
        return EmbeddedDocuments(
            tuple(table["id"].to_pylist()),
            tuple(table["source"].to_pylist()),
            np.load(self.vectors.local()),
            (self.texts,),
        )


def joined(shards: Iterable[EmbeddedShard]) -> EmbeddedDocuments:
    """Return the documents of all shards in the order of their ids, which does not depend on how they lie in shards."""
    parts = [shard.read() for shard in shards]
    ids = [one for part in parts for one in part.ids]
    sources = [one for part in parts for one in part.sources]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    vectors_ND = np.concatenate([part.vectors_ND for part in parts])[order]
    texts = tuple(source for part in parts for source in part.shards)
    return EmbeddedDocuments(tuple(ids[i] for i in order), tuple(sources[i] for i in order), vectors_ND, texts)


def whole_numbers(vectors_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return vectors of length 1 as whole numbers in float32, whose products with each other are exact; 0 stays 0."""
    if vectors_ND.shape[1] > _MAX_DIMENSIONS:
        raise ValueError(f"{vectors_ND.shape[1]} dimensions, at most {_MAX_DIMENSIONS} can be compared exactly")
    whole_ND: npt.NDArray[np.float32] = np.rint(vectors_ND * np.float32(_SCALE))
    return whole_ND


def cosines(products: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return products of `whole_numbers` as cosines."""
    return products.astype(np.float64) / _SCALE**2
