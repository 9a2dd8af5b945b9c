"""What scorers learned and what was selected by their scores, in numbers: `scored.json`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from tasks.core.published import Model, Published


class ScorerTold(Model):
    """A scorer: its kind, its columns, what it told of what it has learned and of the kept documents.

    `without` documents have no score; `in_target` are texts of its target. `lowest` and `highest` of all scores (None: no
    document has one, or it is a combined score).
    """

    kind: str
    columns: tuple[str, ...]
    learned: Mapping[str, Any]
    kept: Mapping[str, float]
    without: NonNegativeInt
    in_target: NonNegativeInt = 0
    lowest: float | None = None
    highest: float | None = None


class Size(Model):
    """How many documents, and how many tokens they have together (pre-tokens of the ingested text)."""

    documents: NonNegativeInt
    tokens: NonNegativeInt


class SelectionTold(Model):
    """One selection of a profile in one group: what it keeps, of how much it was, and how much that is.

    `score` is what it is called in reasons. `group`: "" where all documents are together. `allowed_tokens`: its quota
    (None: it has none). `weighted_tokens`: those kept, each document as often as it weighs (None: nothing is weighted).
    `outside`: documents whose score is no probability, where one is asked for.
    """

    profile: str
    score: str
    keeps: str
    group: str = ""
    considered: Size
    kept: Size
    allowed_tokens: NonNegativeInt | None = None
    weighted_tokens: NonNegativeFloat | None = None
    outside: NonNegativeInt = 0


class Scored(Published):
    """The scorers by name, and the selections in the order in which they were made."""

    FILE: ClassVar[str] = "scored.json"

    format: Literal[1] = 1
    scorers: Mapping[str, ScorerTold]
    selections: tuple[SelectionTold, ...]
