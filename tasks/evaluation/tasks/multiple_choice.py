"""Multiple choice: which of some answers to a question a model finds likeliest.

The four scores of an item, from the one closest to training to the one that is reported most (arXiv 2406.04391, where each
step loses correlation with compute): log p of the right answer, its share among the choices, and whether it is the
likeliest, as it is and by character (the `acc` and `acc_norm` of lm-evaluation-harness).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request, bits_per_byte
from tasks.evaluation.tasks.prompt import PromptParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "log_p_correct"


class MultipleChoice(PromptParams):
    """Records with `query`, `choices` and `gold` (a number from 0, or one of `labels`)."""

    kind: Literal["multiple_choice"]
    fields: Mapping[str, str] = Field(
        default_factory=dict, description="where a field has another name: query, choices, gold, labels"
    )


def item(params: MultipleChoice, record: Record, before: str) -> Item:
    """Return the item of a record; `before` stands before its question.

    Raises:
        DataError: a field is missing or is not what it has to be, or there is nothing to choose.
    """
    context = before + record.text("query")
    choices = record.texts("choices")
    if len(choices) < 2:
        raise record.mistake("there is 1 choice, so nothing to choose")
    gold = record.index("gold", len(choices), record.texts("labels") if record.has("labels") else ())
    return Item(record.id, record.line, tuple(Request(context, params.answer_delimiter + one) for one in choices), gold)


def example(params: MultipleChoice, record: Record) -> str:
    """Return question and right answer, as text."""
    one = item(params, record, "")
    right = one.requests[one.gold]
    return right.context + right.continuation


def scores(params: MultipleChoice, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return the scores of an item."""
    sizes = [len(request.continuation) - len(params.answer_delimiter) for request in one.requests]
    return ItemScores(choice_scores(one, answers, sizes))


def choice_scores(one: Item, answers: Sequence[Likelihood], sizes: Sequence[int]) -> dict[str, float]:
    """Return the scores of a choice between continuations; `sizes` are their lengths in characters.

    Centred accuracy is (accuracy - 1/n) / (1 - 1/n) for n choices: 0 = by chance, 1 = all right.
    """
    log_p_C = np.array([answer.log_p for answer in answers])
    shares_C = np.exp(log_p_C - np.logaddexp.reduce(log_p_C))
    chance = 1 / len(answers)
    right = float(log_p_C.argmax() == one.gold)
    by_character = float((log_p_C / np.maximum(sizes, 1)).argmax() == one.gold)
    return {
        "log_p_correct": float(log_p_C[one.gold]),
        "p_choice": float(shares_C[one.gold]),
        "accuracy": right,
        "accuracy_by_character": by_character,
        "centred_accuracy": (right - chance) / (1 - chance),
        "gold_bits_per_byte": bits_per_byte(one.requests[one.gold], answers[one.gold]),
    }
