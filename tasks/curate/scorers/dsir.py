"""DSIR: how much likelier a document is under a target's words and pairs of words than under the pool's.

Xie et al. 2023, arXiv 2302.03169, equation 2, with hashed n-grams. The score is the plain sum over the words and pairs of a
document, so that long documents have scores far from 0; `NAME_mean` is their mean, and `NAME_words` how many words there
are. The pool's model is fitted on all of it, so that shards and workers do not matter.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import DataError
from tasks.curate.decontaminate.benchmarks import named_files, read_benchmark
from tasks.curate.scorers.hashed_ngrams import bucket_counts, weight_sums
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams, Target
from tasks.curate.statistics.texts import Columns, texts_of

# Added to every share, so that what a model never saw has a logarithm; the constant of the authors' release.
_FLOOR = 1e-8
_MODELS = "shares.npz"
# A target of fewer words says little of 10,000 buckets; a guess.
_FEW_WORDS = 10_000

Shares = NDArray[np.float64]


class Dsir(ScorerParams):
    """The log ratio of a document's likelihood under a target to that under the pool.

    Attributes:
        target: JSONL files (.jsonl, .jsonl.gz), paths or globs; together they are the target.
        fields: the fields of a record that are text of the target; None: every string.
        num_buckets: words and pairs of words are told apart by their hash modulo this number.
    """

    kind: Literal["dsir"] = "dsir"
    target: Annotated[tuple[str, ...], Field(min_length=1)]
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    num_buckets: Annotated[int, Field(ge=2, le=10_000_000)] = 10_000


def shares(counts: NDArray[np.int64]) -> Shares:
    """Return counts of buckets as shares of all, float64 [B]; zeros where nothing was counted."""
    total = int(counts.sum())
    return counts / total if total else np.zeros(len(counts))


def log_ratio(target: Shares, pool: Shares) -> Shares:
    """Return the weight of each bucket, float64 [B]."""
    weights: Shares = np.log(target + _FLOOR) - np.log(pool + _FLOOR)
    return weights


def divergence(target: Shares, other: Shares) -> float:
    """Return KL(target || other) in nats, over the buckets that the target has; both with the floor of the weights."""
    has = target > 0
    return float(np.sum(target[has] * (np.log(target[has] + _FLOOR) - np.log(other[has] + _FLOOR))))


def kl_reduction(target: Shares, pool: Shares, kept: Shares) -> float:
    """Return how much nearer to the target the kept documents are than the pool, in nats (section 4 of the paper)."""
    return divergence(target, pool) - divergence(target, kept)


def _look(config: Dsir, documents: Documents, files: Files) -> pa.Table:
    return pa.table({"count": bucket_counts(documents, config.num_buckets)})


def _learn(config: Dsir, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    targets = [read_benchmark(name, path, config.fields) for name, path in files.items()]
    texts = [text for target in targets for item in target.items for text in item]
    counts, pool = bucket_counts(texts_of(texts), config.num_buckets), _summed(config, looks)
    if not counts.sum():
        raise DataError(f"scorer {config.name}: there is no word in its target ({', '.join(files)}). Name other files.")
    np.savez(folder / _MODELS, target=shares(counts), pool=shares(pool))
    words = int(counts.sum() + len(texts)) // 2
    told: dict[str, Any] = {"target_texts": len(texts), "target_words": words}
    if words < _FEW_WORDS:
        told["warning"] = f"the target has {words:,} words, which say little of {config.num_buckets:,} buckets"
    return told


def _told_of_kept(config: Dsir, looks: Iterable[pa.Table], learned: Path) -> Mapping[str, float]:
    target, pool = _models(learned)
    return {"kl_reduction": kl_reduction(target, pool, shares(_summed(config, looks)))}


def _summed(config: Dsir, looks: Iterable[pa.Table]) -> NDArray[np.int64]:
    counts = np.zeros(config.num_buckets, np.int64)
    for look in looks:
        counts += look["count"].to_numpy()
    return counts


def _models(learned: Path) -> tuple[Shares, Shares]:
    with np.load(learned / _MODELS, allow_pickle=False) as models:
        return models["target"], models["pool"]


def _load(config: Dsir, given: Given) -> Shares:
    assert given.learned is not None
    return log_ratio(*_models(given.learned))


def _score(config: Dsir, documents: Documents, held: Shares) -> Columns:
    sums, ngrams = weight_sums(documents, held)
    # n words make n - 1 pairs.
    return {"": sums, "mean": sums / np.maximum(ngrams, 1), "words": (ngrams + 1) // 2}


METHOD = ScorerMethod(
    ("", "mean", "words"),
    _score,
    _load,
    user_files=lambda config: named_files(config.target, f"scorer {config.name}, target"),
    file_fields=("target",),
    target=lambda config, files: Target(tuple(files), config.fields),
    learning=LearningPass(_look, _learn, _told_of_kept),
)
