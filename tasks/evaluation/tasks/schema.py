"""Winograd schemas: behind which of some beginnings the same ending is likeliest."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request
from tasks.evaluation.tasks.multiple_choice import choice_scores
from tasks.evaluation.tasks.prompt import PromptParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "log_p_correct"


class Schema(PromptParams):
    """Records with `context_options`, a `continuation` that is the same for all, and `gold` (a number from 0)."""

    kind: Literal["schema"]
    fields: Mapping[str, str] = Field(
        default_factory=dict, description="where a field has another name: context_options, continuation, gold"
    )


def item(params: Schema, record: Record, before: str) -> Item:
    """Return the item of a record; `before` stands before each beginning.

    Raises:
        DataError: a field is missing or is not what it has to be, or there is nothing to choose.
    """
    contexts = record.texts("context_options")
    if len(contexts) < 2:
        raise record.mistake("there is 1 beginning, so nothing to choose")
    ending = params.answer_delimiter + record.text("continuation")
    requests = tuple(Request(before + context, ending) for context in contexts)
    return Item(record.id, record.line, requests, record.index("gold", len(contexts)))


def example(params: Schema, record: Record) -> str:
    """Return the right beginning with its ending, as text."""
    one = item(params, record, "")
    return one.requests[one.gold].context + one.requests[one.gold].continuation


def scores(params: Schema, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return the scores of an item: those of a choice (see `multiple_choice`); all endings have the same length."""
    return ItemScores(choice_scores(one, answers, [1] * len(answers)))
