"""The kinds of MinHash, and what a step asks of the chosen one."""

from typing import Annotated

from pydantic import Field

from tasks.curate.dedup.signing.datatrove import DatatroveMinHash, sets_datatrove, sign_datatrove
from tasks.curate.dedup.signing.fast import FastMinHash, sets_fast, sign_fast
from tasks.curate.dedup.signing.signatures import NgramSets, Shape, Signatures
from tasks.curate.statistics.texts import Texts

NearDuplicates = Annotated[FastMinHash | DatatroveMinHash, Field(discriminator="kind")]
DEFAULT: NearDuplicates = FastMinHash()


def sign(texts: Texts, shape: Shape) -> Signatures:
    """Return the signature of every text."""
    words, permutations = shape.minhash.ngram_words, shape.minhash.permutations
    match shape.minhash:
        case FastMinHash():
            return sign_fast(texts, ngram_words=words, num_permutations=permutations, seed=shape.seed)
        case DatatroveMinHash():
            return sign_datatrove(texts, ngram_words=words, num_permutations=permutations)
        case other:
            raise TypeError(f"{type(other).__name__} is no kind of MinHash")


def ngram_sets(texts: Texts, shape: Shape) -> NgramSets:
    """Return the set of 64-bit hashes of every text's n-grams, as its signature is made of."""
    match shape.minhash:
        case FastMinHash():
            return sets_fast(texts, ngram_words=shape.minhash.ngram_words)
        case DatatroveMinHash():
            return sets_datatrove(texts, ngram_words=shape.minhash.ngram_words)
        case other:
            raise TypeError(f"{type(other).__name__} is no kind of MinHash")
