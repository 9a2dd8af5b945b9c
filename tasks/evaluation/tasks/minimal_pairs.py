"""Minimal pairs: of two sentences that differ in one place, which does a model prefer (BLiMP, arXiv 1912.00582)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request
from tasks.evaluation.tasks.multiple_choice import choice_scores
from tasks.evaluation.tasks.prompt import PromptParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "accuracy"


class MinimalPairs(PromptParams):
    """Records with `sentence_good` and `sentence_bad`. They are whole texts, without a context."""

    kind: Literal["minimal_pairs"]
    answer_delimiter: str = Field(
        default="", description="before each sentence; lm-evaluation-harness has a blank here"
    )
    fields: Mapping[str, str] = Field(
        default_factory=dict, description="where a field has another name: sentence_good, sentence_bad"
    )


def item(params: MinimalPairs, record: Record, before: str) -> Item:
    """Return the item of a record: both sentences, the good one first; `before` stands before each.

    Raises:
        DataError: a field is missing or no text, or both are the same.
    """
    good, bad = record.text("sentence_good"), record.text("sentence_bad")
    if good == bad:
        raise record.mistake("both sentences are the same")
    pair = tuple(Request(before, params.answer_delimiter + sentence) for sentence in (good, bad))
    return Item(record.id, record.line, pair)


def example(params: MinimalPairs, record: Record) -> str:
    """Return the good sentence."""
    return params.answer_delimiter + record.text("sentence_good")


def scores(params: MinimalPairs, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return the scores of a choice between two texts (see `multiple_choice`)."""
    return ItemScores(choice_scores(one, answers, [len(request.continuation) for request in one.requests]))
