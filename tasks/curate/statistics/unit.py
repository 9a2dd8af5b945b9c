"""A unit of work: the statistics of one shard. Its key knows no threshold, so a changed one recomputes nothing here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.stage import UnitResult
from tasks.curate.statistics.annotate import BATCH_BYTES, annotate_table
from tasks.curate.statistics.shards import read_shard, write_table
from tasks.curate.statistics.words import batches

ANNOTATIONS, TEXT_DIGESTS = "annotations.parquet", "text_digests.npy"


@dataclass(frozen=True)
class AnnotateArgs:
    """The shard to annotate."""

    documents: Path


def annotate_shard(args: AnnotateArgs, folder: Path) -> UnitResult:
    """Write every statistic of every document, and the SHA-256 of each text (uint8 [documents, 32])."""
    documents = read_shard(args.documents, ("id", "source", "text"))
    write_table(annotate_table(documents), folder / ANNOTATIONS)
    np.save(folder / TEXT_DIGESTS, _digests(documents["text"]))
    return UnitResult(summary={"documents": documents.num_rows})


def _digests(texts: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    found = bytearray()
    for part in batches(pc.binary_length(texts).to_pylist(), BATCH_BYTES):
        for text in texts[part].cast(pa.large_binary()).to_pylist():
            found += hashlib.sha256(text).digest()
    return np.frombuffer(bytes(found), np.uint8).reshape(-1, 32)
