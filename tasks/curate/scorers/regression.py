"""A regression of labels such as 0 to 5 on vectors, as FineWeb-Edu's classifier is (Penedo et al. 2024, arXiv 2406.17557).

Theirs is a linear head on a frozen embedding, trained on an LLM's judgements; here it is solved, not trained by steps: ridge
regression, which has one answer. Axes: N documents, D dimensions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tasks.core.errors import DataError
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.scorers import linear_head
from tasks.curate.scorers.labels import labelled
from tasks.curate.scorers.linear_head import LinearHead
from tasks.curate.scorers.method import EmbeddedParams, EmbeddedPass, Files, Given, ScorerMethod
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed

Floats = npt.NDArray[np.float64]
# Below so many labels that took no part in training, F1 and calibration say little; a guess.
_FEW_LABELS = 100


class Regression(EmbeddedParams):
    """The label that a document of this vector has, by ridge regression; and as a level, rounded into the range.

    Attributes:
        labels: JSONL files (.jsonl, .jsonl.gz), paths or globs: records with a label, and an `id` of the pool or a `text`.
        label: the field of the label.
        lowest, highest: the range of labels.
        positive_from: F1 is told of documents of this level and above.
        ridge: weights are made smaller by so many times the mean variance of a dimension.
        test_share: labels that take no part in training, chosen by a hash of id or text, by which it is judged.
    """

    kind: Literal["regression"] = "regression"
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    label: Annotated[str, Field(min_length=1)] = "label"
    lowest: int = 0
    highest: int = 5
    positive_from: int = 3
    ridge: Annotated[float, Field(gt=0)] = 0.01
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.lowest < self.positive_from <= self.highest:
            raise ValueError(
                f"positive_from is {self.positive_from}; it has to be above lowest ({self.lowest}) and at most highest "
                f"({self.highest})."
            )
        return self


def levels(config: Regression, predicted_N: Floats) -> Floats:
    """Return predictions rounded into the range of labels, without a negative zero; NaN stays."""
    return np.clip(np.rint(predicted_N), config.lowest, config.highest) + 0.0


def f1(true_N: npt.NDArray[np.bool_], found_N: npt.NDArray[np.bool_]) -> float:
    """Return the harmonic mean of precision and recall; 0 where nothing is found rightly.

    >>> f1(np.array([True, True, False]), np.array([True, False, True]))
    0.5
    """
    both = int((true_N & found_N).sum())
    return 2 * both / (int(true_N.sum()) + int(found_N.sum())) if both else 0.0


def judged(config: Regression, labels_N: Floats, predicted_N: Floats, mean: float) -> dict[str, Any]:
    """Return how predictions agree with labels: errors beside those of the constant `mean`, F1, and calibration.

    `calibration`: of each level that is predicted, how many documents and the mean of their labels.
    """
    true_N, level_N = levels(config, labels_N), levels(config, predicted_N)
    positive = config.positive_from
    every = np.unique(true_N)
    return {
        "labels": len(labels_N),
        "mean_error": float(np.abs(predicted_N - labels_N).mean()),
        "mean_error_of_mean": float(np.abs(mean - labels_N).mean()),
        f"f1_from_{positive}": f1(true_N >= positive, level_N >= positive),
        "f1_of_levels": float(np.mean([f1(true_N == level, level_N == level) for level in every])),
        "calibration": {
            str(int(level)): {"labels": int(same.sum()), "mean_label": float(labels_N[same].mean())}
            for level in np.unique(level_N)
            if (same := level_N == level).any()
        },
    }


def _learn(
    config: Regression, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path
) -> Mapping[str, Any]:
    where = f"scorer {config.name}"
    found = labelled(files, (config.label,), documents, embed, config.test_share, config.seed, where)
    labels_N = found.labels_NK[:, 0]
    outside = (labels_N < config.lowest) | (labels_N > config.highest)
    if outside.any():
        raise DataError(
            f"{where}: {int(outside.sum()):,} of {len(outside):,} labels lie outside of {config.lowest} to "
            f"{config.highest}, such as {labels_N[outside][0]:g}. Set lowest and highest."
        )
    training = ~found.test_N
    if len(np.unique(labels_N[training])) < 2:
        raise DataError(
            f"{where}: its {int(training.sum()):,} labels of training are all the same. Label other documents."
        )
    head = linear_head.fit(found.vectors_ND[training], labels_N[training], config.ridge)
    linear_head.save(head, folder)
    number = int(found.test_N.sum())
    told: dict[str, Any] = {
        "labels_of_training": int(training.sum()),
        "labels_without_document": found.missing,
        "labels_without_vector": found.unknown,
        "labelled_more_than_once": found.again,
    }
    if number:
        predicted_N = linear_head.predict(head, found.vectors_ND[found.test_N])
        mean = float(labels_N[training].mean())
        told["test"] = judged(config, labels_N[found.test_N], predicted_N, mean)
    return told | ({"warning": f"{number:,} labels are left to judge it by"} if number < _FEW_LABELS else {})


def _load(config: Regression, given: Given) -> LinearHead:
    assert given.learned is not None
    return linear_head.load(given.learned)


def _score(config: Regression, documents: EmbeddedDocuments, held: LinearHead) -> Columns:
    predicted_N = linear_head.predict(held, documents.vectors_ND)
    return {"": predicted_N, "level": levels(config, predicted_N)}


METHOD = ScorerMethod(
    ("", "level"),
    _score,
    _load,
    user_files=lambda config: named_files(config.labels, f"scorer {config.name}, labels"),
    file_fields=("labels",),
    learning=EmbeddedPass(_learn),
)
