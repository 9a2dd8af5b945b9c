"""Generation tasks without generating: the bits that a model needs for a byte of the answer that is known.

The answer may be worked out on the way (`reasoning`), or be a program: it is never run.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request, bits_per_byte
from tasks.evaluation.tasks.prompt import PromptParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "gold_bits_per_byte"


class GoldAnswer(PromptParams):
    """Records with `context` and `answer`, and `reasoning` where `reasoning_delimiter` is given."""

    kind: Literal["gold_answer"]
    reasoning_delimiter: str | None = Field(
        default=None,
        description="between the record's `reasoning`, which comes first, and its answer; null = answer only",
    )
    fields: Mapping[str, str] = Field(
        default_factory=dict, description="where a field has another name: context, answer, reasoning"
    )


def item(params: GoldAnswer, record: Record, before: str) -> Item:
    """Return the item of a record; `before` stands before its context.

    Raises:
        DataError: a field is missing or no text.
    """
    return Item(record.id, record.line, (Request(before + record.text("context"), _answer(params, record)),))


def example(params: GoldAnswer, record: Record) -> str:
    """Return context and answer, as text."""
    return record.text("context") + _answer(params, record)


def scores(params: GoldAnswer, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return log p of the answer and its bits per byte."""
    (answer,) = answers
    return ItemScores({"log_p_correct": answer.log_p, "gold_bits_per_byte": bits_per_byte(one.requests[0], answer)})


def _answer(params: GoldAnswer, record: Record) -> str:
    if params.reasoning_delimiter is None:
        return params.answer_delimiter + record.text("answer")
    return params.answer_delimiter + record.text("reasoning") + params.reasoning_delimiter + record.text("answer")
