"""Parallel sentences: how alike a model represents sentences of a language and the same in English (Language Ranker).

A pair's score is the cosine of the hidden states at the last tokens of both, each less the mean of its side over all pairs
of the task, and the mean over layers. Without the mean all cosines are high, of strangers too: the states of a model lie in
a narrow cone. Strangers score about -1 / (n - 1) for n pairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, PositiveInt

from tasks.core.errors import DataError
from tasks.evaluation.tasks.encode import Reads
from tasks.evaluation.tasks.item import Item, ItemScores, Request
from tasks.evaluation.tasks.prompt import ItemParams
from tasks.evaluation.tasks.records import Record

if TYPE_CHECKING:
    from tasks.evaluation.tasks.models import LanguageModel

PRIMARY = "similarity"
# Of fewer the mean of a side is mostly the sentence itself (of two, every cosine is 1 or -1). A guess.
FEWEST_SENTENCES = 10


class ParallelSentences(ItemParams):
    """Records with `text`, all of one language, and `english`, the same in English. A task is one language."""

    kind: Literal["parallel_sentences"]
    layers: tuple[PositiveInt, ...] | None = Field(
        default=None, description="the layers whose outputs are compared, counted from 1; null = all"
    )
    fields: Mapping[str, str] = Field(default_factory=dict, description="where a field has another name: text, english")

    def mistakes(self) -> Iterable[str]:
        """Return whether the layers are some, each named once."""
        if self.layers is not None and len(set(self.layers)) < max(len(self.layers), 1):
            yield "layers: name at least one, and each once, or null for all"


@dataclass(frozen=True, kw_only=True)
class SentencePair(Item):
    """A sentence, which is its request's text, and the same in English."""

    english: str


def item(params: ParallelSentences, record: Record, before: str) -> SentencePair:
    """Return the item of a record.

    Raises:
        DataError: a field is missing, blank or no text.
    """
    for name in ("text", "english"):
        if not record.text(name).strip():
            raise record.mistake(f"`{params.fields.get(name, name)}` is empty")
    request = Request(before, record.text("text"))
    return SentencePair(record.id, record.line, (request,), english=record.text("english"))


def require_enough(pairs: Sequence[SentencePair], where: str) -> None:
    """Require as many different sentences on each side as a mean needs.

    Raises:
        DataError: there are fewer.
    """
    for side, texts in _sides(pairs).items():
        if (found := len(set(texts))) < FEWEST_SENTENCES:
            raise DataError(
                f"{where}: {len(pairs)} pairs with {found} different sentences in {side}; their mean needs at least "
                f"{FEWEST_SENTENCES}. Bring more pairs, or raise max_items."
            )


def require_readable(
    params: ParallelSentences, model: Reads, num_layers: int, pairs: Sequence[SentencePair], where: str
) -> None:
    """Require that a model of so many layers, which is still to be trained, will be able to compare these.

    Raises:
        DataError: a sentence is longer than the model's context.
        ConfigError: the model has no such layer.
    """
    from tasks.evaluation.tasks.models import chosen_layers

    chosen_layers(params.layers, num_layers)
    for texts in _sides(pairs).values():
        _tokens(model, pairs, texts, where)


def similarities(
    params: ParallelSentences, model: "LanguageModel", pairs: Sequence[SentencePair], where: str
) -> list[float]:
    """Return the score of each pair among all of them; their order changes no bit.

    Raises:
        DataError: a sentence is longer than the model's context.
        ConfigError: the model has no such layer.
    """
    ordered = sorted(pairs, key=lambda pair: pair.id)
    states_SPLD = [
        model.representations(_tokens(model, ordered, texts, where), params.layers)
        for texts in _sides(ordered).values()
    ]
    cosines_LP = []
    for own_PD, english_PD in zip(*(np.moveaxis(states, 1, 0) for states in states_SPLD), strict=True):
        cosines_LP.append((_directions(own_PD) * _directions(english_PD)).sum(axis=1))
    by_id = dict(zip((pair.id for pair in ordered), np.mean(cosines_LP, axis=0).tolist(), strict=True))
    return [by_id[pair.id] for pair in pairs]


def scores(params: ParallelSentences, one: Item, answers: Sequence[float]) -> ItemScores:
    """Return the score of a pair."""
    (similarity,) = answers
    return ItemScores({"similarity": similarity})


def _sides(pairs: Sequence[SentencePair]) -> dict[str, list[str]]:
    return {
        "its language": [pair.requests[0].continuation for pair in pairs],
        "English": [pair.english for pair in pairs],
    }


def _tokens(model: Reads, pairs: Sequence[SentencePair], texts: Sequence[str], where: str) -> list[tuple[int, ...]]:
    """Return what the model reads of each text: the beginning of a document, and its tokens."""
    found = [(model.beginning, *model.encode(text)) for text in texts]
    long = [(pair.line, len(one)) for pair, one in zip(pairs, found, strict=True) if len(one) > model.context_length]
    if long:
        line, size = min(long)
        raise DataError(
            f"{where}: {len(long)} of {len(found)} sentences are longer than the model's context of "
            f"{model.context_length} tokens; first: line {line} with {size}. Leave these records out."
        )
    return found


def _directions(states_PD: np.ndarray) -> np.ndarray:
    """Return states less their mean, each of length 1, in float64."""
    centred_PD = states_PD.astype(np.float64) - states_PD.mean(axis=0, dtype=np.float64)
    unit_PD: np.ndarray = centred_PD / np.linalg.norm(centred_PD, axis=1, keepdims=True)
    return unit_PD
