"""Held-out text: bits per byte of the documents of a file."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request, bits_per_byte, num_bytes
from tasks.evaluation.tasks.prompt import ItemParams
from tasks.evaluation.tasks.records import Record

PRIMARY = "bits_per_byte"


class HeldOutText(ItemParams):
    """Records with `text`. What is longer than the model's context is read in windows that do not overlap."""

    kind: Literal["text"]
    fields: Mapping[str, str] = Field(default_factory=dict, description="where a field has another name: text")


def item(params: HeldOutText, record: Record, before: str) -> Item:
    """Return the item of a record: its text, at the beginning of a document.

    Raises:
        DataError: the field is missing, empty or no text.
    """
    if not record.text("text"):
        raise record.mistake(f"`{params.fields.get('text', 'text')}` is empty")
    return Item(record.id, record.line, (Request(before, record.text("text")),))


def scores(params: HeldOutText, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return bits per byte, weighted by bytes: the score of a file is that of all its text together."""
    (request,), (answer,) = one.requests, answers
    return ItemScores({"bits_per_byte": bits_per_byte(request, answer)}, weight=num_bytes(request))
