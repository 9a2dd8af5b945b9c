"""Celadon's five heads on vectors, trained from labels (Arnett et al. 2024, arXiv 2410.22587), with weights of their own.

Theirs are trained by steps on an encoder; here each head is a logistic regression on frozen vectors, which has one answer.
As there, a document counts for the mean over its five labels of one over how often that level is, and the levels of a head
are weighed by log(1 + false negatives + false positives), set anew round by round: of each head by itself, where the
released code takes the last head's for all. Axes: N documents, D dimensions, H heads, L levels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.core.errors import DataError
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.scorers.labels import labelled
from tasks.curate.scorers.method import EmbeddedParams, EmbeddedPass, Files, Given, ScorerMethod
from tasks.curate.scorers.toxicity import HEADS, LEVELS, HeadWeights, toxicity_columns
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_FILE = "heads.npz"
# Below so many labelled documents that took no part in training, an accuracy says little; a guess.
_FEW_LABELS = 100


class CeladonTrained(EmbeddedParams):
    """The levels of five kinds of toxicity, as `celadon` has them, by heads that are trained from labels.

    Attributes:
        labels: JSONL files (.jsonl, .jsonl.gz), paths or globs: records with `race`, `gender`, `religion`, `ability` and
            `violence`, each a level from 0 to 3, and an `id` of the pool or a `text`.
        weights: of the heads in the score, which is their sum; the rule knows no weights.
        rounds: how often a head is fitted; before each but the first its levels are weighed by the mistakes of the last.
        penalty: on half the squares of a head's weights, in units of one labelled document.
        test_share: documents that take no part in training, chosen by a hash of id or text, by which it is judged.
    """

    kind: Literal["celadon_trained"] = "celadon_trained"
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    weights: HeadWeights = (1.0, 1.0, 1.0, 1.0, 1.0)
    rounds: PositiveInt = 3
    penalty: Annotated[float, Field(gt=0)] = 0.1
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0


def document_weights(levels_NH: Ints) -> Floats:
    """Return the mean over heads of one over the share of the document's level, float64 [N] with mean 1."""
    inverse_NH = np.zeros(levels_NH.shape)
    for head, levels_N in enumerate(levels_NH.T):
        counts_L = np.bincount(levels_N, minlength=LEVELS)
        inverse_NH[:, head] = len(levels_N) / counts_L[levels_N]
    weights_N: Floats = inverse_NH.mean(axis=1) / inverse_NH.mean()
    return weights_N


def level_weights(true_N: Ints, found_N: Ints) -> Floats:
    """Return log(1 + false negatives + false positives) of each level, float64 [L] with mean 1; all 1 without a mistake.

    >>> level_weights(np.array([0, 0, 1]), np.array([0, 1, 1])).round(2).tolist()
    [2.0, 2.0, 0.0, 0.0]
    """
    wrong = true_N != found_N
    mistakes_L: Floats = np.log1p(
        np.bincount(true_N[wrong], minlength=LEVELS) + np.bincount(found_N[wrong], minlength=LEVELS)
    )
    weights_L: Floats = mistakes_L / mistakes_L.mean() if mistakes_L.any() else np.ones(LEVELS)
    return weights_L


def balanced_accuracy(true_N: Ints, found_N: Ints) -> float:
    """Return the mean over the levels that are there of the share that was found.

    >>> balanced_accuracy(np.array([0, 0, 0, 2]), np.array([0, 0, 0, 1]))
    0.5
    """
    return float(np.mean([(found_N[true_N == level] == level).mean() for level in np.unique(true_N)]))


def fit(vectors_ND: npt.NDArray[np.float32], levels_N: Ints, weights_N: Floats, penalty: float) -> Floats:
    """Return the head of the least weighted cross-entropy, float64 [D + 1, L], the last row being its intercepts."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    inputs_ND = np.hstack([vectors_ND.astype(np.float64), np.ones((len(vectors_ND), 1))])
    true_NL = np.eye(LEVELS)[levels_N]

    def loss(flat: Floats) -> tuple[float, Floats]:
        head_DL = flat.reshape(-1, LEVELS)
        logs_NL = log_softmax(inputs_ND @ head_DL, axis=1)
        held_DL = np.vstack([head_DL[:-1], np.zeros(LEVELS)])
        value = -(weights_N * (true_NL * logs_NL).sum(axis=1)).sum() + penalty / 2 * (held_DL**2).sum()
        slope_DL = inputs_ND.T @ (weights_N[:, None] * (np.exp(logs_NL) - true_NL)) + penalty * held_DL
        return float(value), slope_DL.ravel()

    found = minimize(loss, np.zeros(inputs_ND.shape[1] * LEVELS), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    head_DL: Floats = found.x.reshape(-1, LEVELS)
    return head_DL


def levels_of(heads_HDL: Floats, vectors_ND: npt.NDArray[np.float32]) -> Ints:
    """Return the level of each vector under each head, int64 [N, H]; each row is summed alone, always in the same order."""
    wide_ND, found_NH = vectors_ND.astype(np.float64), np.zeros((len(vectors_ND), len(heads_HDL)), np.int64)
    for head, head_DL in enumerate(heads_HDL):
        logits = [(wide_ND * column[:-1]).sum(axis=1) + column[-1] for column in head_DL.T]
        found_NH[:, head] = np.argmax(logits, axis=0)
    return found_NH


def _learn(
    config: CeladonTrained, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path
) -> Mapping[str, Any]:
    where = f"scorer {config.name}"
    found = labelled(files, HEADS, documents, embed, config.test_share, config.seed, where)
    outside = (found.labels_NK < 0) | (found.labels_NK >= LEVELS) | (found.labels_NK != np.rint(found.labels_NK))
    if outside.any():
        raise DataError(
            f"{where}: {int(outside.any(axis=1).sum()):,} of {len(outside):,} labelled documents have a level that is none "
            f"of 0 to {LEVELS - 1}, such as {found.labels_NK[outside][0]:g}. Mend or remove them."
        )
    levels_NH, training = found.labels_NK.astype(np.int64), ~found.test_N
    own_NH, vectors_ND = levels_NH[training], found.vectors_ND[training]
    constant = [name for name, levels_N in zip(HEADS, own_NH.T, strict=True) if len(np.unique(levels_N)) < 2]
    if len(constant) == len(HEADS):
        raise DataError(
            f"{where}: its {len(own_NH):,} labelled documents of training all have the same levels. Label other documents."
        )
    heads, weighed = zip(*(_head(config, vectors_ND, own_NH, head) for head in range(len(HEADS))), strict=True)
    heads_HDL = np.stack(heads)
    np.savez(folder / _FILE, heads=heads_HDL)
    told: dict[str, Any] = {
        "documents_of_training": len(own_NH),
        "labels_without_document": found.missing,
        "labels_without_vector": found.unknown,
        "labelled_more_than_once": found.again,
        "weights_of_levels": {name: weights_L.tolist() for name, weights_L in zip(HEADS, weighed, strict=True)},
        "heads_with_one_level": constant,
    }
    number = int(found.test_N.sum())
    if number:
        true_NH, predicted_NH = levels_NH[found.test_N], levels_of(heads_HDL, found.vectors_ND[found.test_N])
        told["test"] = {"documents": number} | {
            name: {
                "balanced_accuracy": balanced_accuracy(true_NH[:, head], predicted_NH[:, head]),
                "accuracy": float((true_NH[:, head] == predicted_NH[:, head]).mean()),
            }
            for head, name in enumerate(HEADS)
        }
    few = f"{number:,} labelled documents are left to judge it by"
    return told | ({"warning": few} if number < _FEW_LABELS else {})


def _head(
    config: CeladonTrained, vectors_ND: npt.NDArray[np.float32], levels_NH: Ints, head: int
) -> tuple[Floats, Floats]:
    """Return a head, float64 [D + 1, L], and the weights of its levels in the last round."""
    levels_N, documents_N, weights_L = levels_NH[:, head], document_weights(levels_NH), np.ones(LEVELS)
    head_DL = fit(vectors_ND, levels_N, documents_N, config.penalty)
    for _ in range(config.rounds - 1):
        weights_L = level_weights(levels_N, levels_of(head_DL[None], vectors_ND)[:, 0])
        head_DL = fit(vectors_ND, levels_N, documents_N * weights_L[levels_N], config.penalty)
    return head_DL, weights_L


def _load(config: CeladonTrained, given: Given) -> Floats:
    assert given.learned is not None
    with np.load(given.learned / _FILE, allow_pickle=False) as found:
        heads_HDL: Floats = found["heads"]
    return heads_HDL


def _score(config: CeladonTrained, documents: EmbeddedDocuments, held: Floats) -> Columns:
    vectors_ND = documents.vectors_ND
    without_N = ~np.any(vectors_ND, axis=1)
    return toxicity_columns(levels_of(held, vectors_ND), np.asarray(without_N), config.weights)


METHOD = ScorerMethod(
    ("", "verdict", *HEADS),
    _score,
    _load,
    user_files=lambda config: named_files(config.labels, f"scorer {config.name}, labels"),
    file_fields=("labels",),
    learning=EmbeddedPass(_learn),
)
