"""Any sequence classifier of transformers: the probability of a label, the expected value over labels, or a regression."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.curate.scorers.method import Documents, Given, ScorerMethod
from tasks.curate.scorers.transformer import Floats, Reader, TransformerParams, loaded, model_files, softmax
from tasks.curate.statistics.texts import Columns


class Classifier(TransformerParams):
    """The score of a classifier in a folder.

    Attributes:
        label: P(label), as the model's config names it (id2label). None: of a model with one output that output, of
            one with several the expected value over labels.
        values: the value of each label, in the model's order; None: 0, 1, 2, ...
    """

    kind: Literal["classifier"] = "classifier"
    label: Annotated[str, Field(min_length=1)] | None = None
    values: Annotated[tuple[float, ...], Field(min_length=2)] | None = None

    def mistakes(self) -> Iterator[str]:
        """Return what is wrong with the score."""
        if self.label is not None and self.values is not None:
            yield "values are those of an expected value, and label asks for a probability: leave one out"


def _load(config: Classifier, given: Given) -> tuple[Reader, Callable[[Floats], Floats]]:
    reader = loaded(config, given, "AutoModelForSequenceClassification", lambda model, inputs: model(**inputs).logits)
    return reader, _score_of(config, reader.model.config)


def _score_of(config: Classifier, described: Any) -> Callable[[Floats], Floats]:
    """Return what makes the score of a chunk, [C, 1], from its logits, [C, L].

    Raises:
        ConfigError: the model has no such label, or other labels than values.
    """
    labels = [str(described.id2label[place]) for place in range(described.num_labels)]
    if config.label is not None:
        if config.label not in labels:
            raise ConfigError(
                f"scorer {config.name}: its model has no label {config.label!r}. It has {', '.join(labels[:8])}."
            )
        place = labels.index(config.label)
        shares = _sigmoid if described.problem_type == "multi_label_classification" else softmax
        return lambda logits_CL: shares(logits_CL)[:, [place]]
    if len(labels) == 1 and config.values is None:
        return lambda logits_CL: logits_CL
    values_L = np.arange(len(labels), dtype=np.float64) if config.values is None else np.array(config.values)
    if len(values_L) != len(labels):
        raise ConfigError(
            f"scorer {config.name}: {len(values_L)} values, but {len(labels)} labels in its model ({', '.join(labels[:8])})."
        )
    return lambda logits_CL: (softmax(logits_CL) @ values_L)[:, None]


def _sigmoid(logits_CL: Floats) -> Floats:
    shares_CL: Floats = 1 / (1 + np.exp(-logits_CL))
    return shares_CL


def _user_files(config: Classifier) -> dict[str, Path]:
    return model_files(config.model, f"scorer {config.name}, model")


def _score(config: Classifier, documents: Documents, held: tuple[Reader, Callable[[Floats], Floats]]) -> Columns:
    reader, score_of = held
    return {"": reader.read(documents.to_list(), score_of)[:, 0]}


METHOD = ScorerMethod(("",), _score, _load, user_files=_user_files, file_fields=("model",), on_device=True)
