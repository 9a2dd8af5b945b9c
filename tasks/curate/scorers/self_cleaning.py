"""Self-cleaning: a small model of the pool scores it, the worst go, a model of the rest scores all anew, until stable.

After one line of TransNormerLLM's abstract (Qin et al. 2023, arXiv 2307.14995), whose details are not published. The small
model is one of words and pairs of words by bucket, as DSIR's; with the same share kept in every round this is a trimmed
maximum likelihood: no round makes what is kept less likely, so that the rounds end.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.rng import seed_of
from tasks.curate.scorers.hashed_ngrams import bucket_counts, weight_sums
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams
from tasks.curate.statistics.texts import Columns, Texts, texts_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MODELS = "models.npz"


class SelfCleaning(ScorerParams):
    """The mean log-likelihood of a document's words and pairs of words, under a model of what is kept when rounds are over.

    `NAME_first` is the same under the model of all documents, before anything was dropped.

    Attributes:
        keep: share of the words and pairs that a round keeps, of the likeliest documents.
        stable: rounds end where fewer than this share of the documents come or go.
        max_rounds: they end after so many at the latest, which is told.
        num_documents: models are fitted to so many, chosen by the hash of their ids.
        num_buckets: words and pairs of words are told apart by their hash modulo this number.
    """

    kind: Literal["self_cleaning"] = "self_cleaning"
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.9
    stable: Annotated[float, Field(gt=0, lt=1)] = 0.01
    max_rounds: Annotated[int, Field(ge=1, le=100)] = 20
    num_documents: Annotated[int, Field(ge=10)] = 5_000
    num_buckets: Annotated[int, Field(ge=2, le=10_000_000)] = 10_000


def log_shares(texts: Texts, num_buckets: int) -> Floats:
    """Return the logarithm of each bucket's share, as if each had been seen once more, float64 [B]."""
    counts = bucket_counts(texts, num_buckets)
    shares: Floats = np.log(counts + 1.0) - np.log(counts.sum() + float(num_buckets))
    return shares


def mean_log_likelihood(texts: Texts, model: Floats) -> Floats:
    """Return the mean over a text's words and pairs, float64 [N]; NaN of a text without any."""
    sums, ngrams = weight_sums(texts, model)
    return np.where(ngrams > 0, sums / np.maximum(ngrams, 1), np.nan)


def likeliest(scores_N: Floats, sizes_N: NDArray[np.int64], keep: float) -> Bools:
    """Return the documents with the highest scores that have a share of all sizes together, the last one included.

    >>> likeliest(np.array([1.0, 3.0, 2.0, np.nan]), np.array([1, 1, 1, 0]), 0.5).tolist()
    [False, True, True, False]
    """
    order = np.lexsort((np.arange(len(scores_N)), -np.nan_to_num(scores_N, nan=-np.inf)))
    before = np.cumsum(sizes_N[order]) - sizes_N[order]
    kept_N = np.zeros(len(scores_N), np.bool_)
    kept_N[order[before < keep * sizes_N.sum()]] = True
    return kept_N & ~np.isnan(scores_N)


def cleaned(config: SelfCleaning, texts: Texts) -> tuple[Floats, list[float]]:
    """Return the model of what stays, and which share of the documents came or went in each round."""
    every, changes = texts.to_arrow(), list[float]()
    sizes_N = weight_sums(texts, np.zeros(config.num_buckets))[1]
    kept_N, model = np.ones(len(texts), np.bool_), log_shares(texts, config.num_buckets)
    for _ in range(config.max_rounds):
        left_N = likeliest(mean_log_likelihood(texts, model), sizes_N, config.keep)
        changes.append(float((left_N != kept_N).mean()))
        kept_N, model = left_N, log_shares(texts_of(every.filter(pa.array(left_N))), config.num_buckets)
        if changes[-1] < config.stable:
            break
    return model, changes


def _look(config: SelfCleaning, documents: Documents, files: Files) -> pa.Table:
    found = pa.table({"id": documents.table["id"], "text": documents.to_arrow()})
    return _chosen(found, config.num_documents)


def _chosen(documents: pa.Table, number: int) -> pa.Table:
    """Return the documents with the smallest hashes of their ids, in that order."""
    hashes = [seed_of(0, "self_cleaning", name) for name in documents["id"].to_pylist()]
    return documents.take(sorted(range(len(hashes)), key=hashes.__getitem__)[:number])


def _learn(config: SelfCleaning, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    chosen = _chosen(pa.concat_tables(looks), config.num_documents)
    texts = texts_of(chosen["text"])
    if not bucket_counts(texts, config.num_buckets).sum():
        raise DataError(f"scorer {config.name}: there is no word in the {len(texts):,} documents of the pool.")
    model, changes = cleaned(config, texts)
    np.savez(folder / _MODELS, first=log_shares(texts, config.num_buckets), last=model)
    told: dict[str, Any] = {"documents": len(texts), "rounds": len(changes), "changed_in_the_last": changes[-1]}
    if not changes[-1] < config.stable:
        told["warning"] = f"not stable after {len(changes)} rounds: raise max_rounds or stable"
    return told


def _load(config: SelfCleaning, given: Given) -> tuple[Floats, Floats]:
    assert given.learned is not None
    with np.load(given.learned / _MODELS, allow_pickle=False) as models:
        return models["first"], models["last"]


def _score(config: SelfCleaning, documents: Documents, held: tuple[Floats, Floats]) -> Columns:
    first, last = held
    return {"": mean_log_likelihood(documents, last), "first": mean_log_likelihood(documents, first)}


METHOD = ScorerMethod(("", "first"), _score, _load, learning=LearningPass(_look, _learn))
