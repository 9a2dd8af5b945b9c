"""A word, or a few, that only the whole passage tells: LAMBADA (arXiv 1606.06031) and questions with short answers."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request, bits_per_byte
from tasks.evaluation.tasks.prompt import PromptParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "gold_bits_per_byte"


class LastWord(PromptParams):
    """Records with `context` and `continuation`."""

    kind: Literal["last_word"]
    fields: Mapping[str, str] = Field(
        default_factory=dict, description="where a field has another name: context, continuation"
    )


def item(params: LastWord, record: Record, before: str) -> Item:
    """Return the item of a record; `before` stands before its passage.

    Raises:
        DataError: a field is missing or no text.
    """
    answer = params.answer_delimiter + record.text("continuation")
    return Item(record.id, record.line, (Request(before + record.text("context"), answer),))


def example(params: LastWord, record: Record) -> str:
    """Return the passage with its end, as text."""
    return record.text("context") + params.answer_delimiter + record.text("continuation")


def scores(params: LastWord, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return log p of the end, whether a model would have written it (greedily), and its bits per byte."""
    (answer,) = answers
    found = {"log_p_correct": answer.log_p, "accuracy": float(answer.greedy)}
    return ItemScores(found | {"gold_bits_per_byte": bits_per_byte(one.requests[0], answer)})
