"""A unit of work: the MinHash signatures of one shard. Its key knows the shape of a signature, and no threshold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tasks.core.stage import UnitResult
from tasks.curate.dedup.minhash import Signatures, sign
from tasks.curate.statistics.annotate import BATCH_BYTES
from tasks.curate.statistics.shards import read_shard
from tasks.curate.statistics.words import batches

VALUES, COMPARABLE = "signatures.npy", "comparable.npy"


@dataclass(frozen=True)
class SignArgs:
    """The shard to sign, and how."""

    documents: Path
    ngram_words: int
    num_permutations: int
    seed: int


def sign_shard(args: SignArgs, folder: Path) -> UnitResult:
    """Write the signature of every document (uint32 [documents, permutations]) and whether it has one."""
    texts = read_shard(args.documents, ("text",))["text"]
    parts = [_sign([], args)]
    parts += [
        _sign(texts[part].to_pylist(), args) for part in batches(pc.binary_length(texts).to_pylist(), BATCH_BYTES)
    ]
    np.save(folder / VALUES, np.concatenate([part.values_DP for part in parts]))
    np.save(folder / COMPARABLE, np.concatenate([part.comparable_D for part in parts]))
    return UnitResult(summary={"documents": len(texts)})


def read_signatures(folders: list[Path]) -> Signatures:
    """Return the signatures that units wrote into these folders, one after another."""
    return Signatures(
        np.concatenate([np.load(folder / VALUES) for folder in folders]),
        np.concatenate([np.load(folder / COMPARABLE) for folder in folders]),
    )


def _sign(texts: list[str], args: SignArgs) -> Signatures:
    return sign(texts, ngram_words=args.ngram_words, num_permutations=args.num_permutations, seed=args.seed)
