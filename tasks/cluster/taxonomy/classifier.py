"""The classifier that a model's labels make, and the topics of a shard by it. Axes: N documents, B buckets, K topics."""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.cluster.taxonomy.labels import Labelled, read_answers
from tasks.cluster.taxonomy.reading import TOPICS
from tasks.core.errors import EvidenceError
from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.rng import seed_of
from tasks.core.tables import read_table, write_table
from tasks.core.threads import one_thread
from tasks.curate.published.documents import read_shard
from tasks.curate.scorers.students import shares
from tasks.embedding.unit import beginnings

TOPICS_FILE = "topics.parquet"
_CLASSIFIER = "classifier.npz"
# Of 10, 30 and 100 the inverse penalties differed little on 14 sources; roots of shares (whose squares add to 1) told 97 %
# of their documents right after 2,000 labels, shares scaled as in TF-IDF 93 %.
_INVERSE_PENALTY = 30.0
_STEPS = 100
# One document in so many tells how well the classifier learned from the others agrees with the model (theirs: a fifth).
_HELD_OUT = 5


@dataclass(frozen=True)
class TeachArgs:
    """The sample, what a model answered about it, and the size of the classifier."""

    sample: Handle
    answers: Handle
    max_topics: int
    num_buckets: int
    seed: int


@dataclass(frozen=True)
class ClassifyArgs:
    """A shard of documents, and the classifier."""

    shard: Handle
    learned: Tree
    max_chars: int


def teach(args: TeachArgs, here: Here) -> UnitResult:
    """Write the classifier that a model's labels make, and the topics.

    Raises:
        EvidenceError: the labels are of fewer than two topics.
    """
    found = read_answers(args.answers.local(), args.max_topics)
    table = read_table(args.sample.local())
    rows = [(text, found.topic_of[name]) for name, text in zip(*_columns(table), strict=True) if name in found.topic_of]
    topic_N = np.array([topic for _, topic in rows], np.int64)
    if (labelled := len(set(topic_N.tolist()))) < 2:
        raise EvidenceError(
            f"cluster.domains: {len(rows):,} documents of the sample have a label, of {labelled} topic(s), "
            f"and a classifier needs two ({_counts(found)}). Ask another model, or about more documents."
        )
    features_NB = _features([text for text, _ in rows], args.num_buckets)
    told: dict[str, int | float] = {**found.counts, "labelled": len(rows)}
    out_N = np.array([seed_of(args.seed, "held out", i) % _HELD_OUT == 0 for i in range(len(rows))])
    if out_N.any() and len(set(topic_N[~out_N].tolist())) > 1:
        first = _fitted(features_NB[np.flatnonzero(~out_N)], topic_N[~out_N], len(found.topics))
        right_N = _scores(first, features_NB[np.flatnonzero(out_N)]).argmax(axis=1) == topic_N[out_N]
        told["held_out_accuracy"] = float(right_N.mean())
    weights_BK, intercept_K = _fitted(features_NB, topic_N, len(found.topics))
    np.savez_compressed(here.folder / _CLASSIFIER, weights=weights_BK.astype(np.float32), intercept=intercept_K)
    topics = [[one.name, one.description] for one in found.topics]
    (here.folder / TOPICS).write_text(json.dumps([topics, told], ensure_ascii=False), encoding="utf-8")
    return UnitResult()


def classify(args: ClassifyArgs, here: Here) -> UnitResult:
    """Write how likely each topic is of every document of a shard, in logits."""
    with np.load(args.learned[_CLASSIFIER].local(), allow_pickle=False) as found:
        model = found["weights"].astype(np.float64), found["intercept"]
    texts = beginnings(read_shard(args.shard.local(), ["text"])["text"], args.max_chars)
    features_NB = _features(texts, len(model[0]))
    score_NK = _scores(model, features_NB)
    write_table(pa.table({"score": [*score_NK.tolist()]}), here.folder / TOPICS_FILE)
    return UnitResult()


def _columns(table: pa.Table) -> tuple[list[str], list[str]]:
    return table["id"].to_pylist(), table["text"].to_pylist()


def _counts(found: Labelled) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in found.counts.items())


def _features(texts: Sequence[str], num_buckets: int) -> Any:
    found = shares(texts, num_buckets)
    found.data = np.sqrt(found.data)
    return found


def _fitted(
    features_NB: Any, topic_N: NDArray[np.int64], topics: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights and intercepts of a logistic regression in which each topic counts the same, [B, K] and [K].

    A topic without a label is never chosen.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=_STEPS)
    with one_thread(), warnings.catch_warnings():
        # Further steps change no topic; how well it does is told.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features_NB, topic_N)
    weights_BK, intercept_K = np.zeros((features_NB.shape[1], topics)), np.full(topics, -math.inf)
    coefficients_KB, constants_K = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients_KB, constants_K = np.vstack([-coefficients_KB, coefficients_KB]), np.array([-1, 1]) * constants_K
    weights_BK[:, model.classes_], intercept_K[model.classes_] = coefficients_KB.T, constants_K
    return weights_BK, intercept_K


def _scores(model: tuple[NDArray[Any], NDArray[Any]], features_NB: Any) -> NDArray[np.float64]:
    weights_BK, intercept_K = model
    found: NDArray[np.float64] = features_NB @ weights_BK + intercept_K
    return found
