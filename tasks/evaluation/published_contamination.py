"""Which task items models were trained on, how often, and what that did to their scores."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tasks.core.published import Model, Published
from tasks.evaluation.tasks.published import Score


class Estimate(Model):
    """A difference or a slope with its interval, from so many `units`: items, or domains."""

    value: float
    lower: float
    upper: float
    units: PositiveInt

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lower > 0 or self.upper < 0


class SplitScore(Model):
    """A score of all items, of those that are not contaminated, and of those that are.

    `difference` is contaminated - not contaminated. None where there are no such items, or too few.
    """

    all: Score
    without_contaminated: Score | None
    contaminated: Score | None
    difference: Estimate | None


class ExposureGroup(Model):
    """Items that a run was exposed to more than `above` times and at most `up_to` times, with their primary score."""

    above: float
    up_to: NonNegativeFloat
    items: PositiveInt
    exposure: NonNegativeFloat
    score: Score


class ContaminatedTask(Model):
    """One task and one model. `items` were answered; of `not_looked_for` no text is long enough.

    `exposures` are groups of items by how often the run was exposed to them. `slope` is the change of the primary score,
    from item to item, where log(1 + exposure) is 1 higher; None where too few items were seen.
    """

    items: PositiveInt
    not_looked_for: NonNegativeInt
    contaminated: NonNegativeInt
    primary: str
    scores: Mapping[str, SplitScore]
    exposures: tuple[ExposureGroup, ...]
    slope: Estimate | None


class ContaminatedModel(Model):
    """One model and all tasks. `common_ngrams` stand in too many documents to be counted."""

    model: str
    common_ngrams: NonNegativeInt
    tasks: Mapping[str, ContaminatedTask]


class DomainExposure(Model):
    """How often one model went through a domain, and its bits per byte on that domain's test split."""

    epochs: NonNegativeFloat
    bits_per_byte: float


class Contamination(Published):
    """What the models were trained on of the items that they are measured on.

    `documents` were searched, `documents_hit` hold an n-gram of an item. The slopes `across_models` compare each item (of
    the tasks, with its primary score) and each domain (with its bits per byte) with itself in other models that saw it
    more often or less; None where the models saw all of it equally often, or too few items or domains.
    """

    FILE: ClassVar[str] = "contamination.json"

    format: Literal[1] = 1
    confidence: float = Field(gt=0, lt=1)
    ngram_words: PositiveInt
    whole_text_words: PositiveInt | None
    min_hits: PositiveInt
    common_documents: PositiveInt | None
    documents: NonNegativeInt
    documents_hit: NonNegativeInt
    models: tuple[ContaminatedModel, ...]
    tasks_across_models: Mapping[str, Estimate | None]
    domains: Mapping[str, Mapping[str, DomainExposure]]
    domains_across_models: Estimate | None


class ItemExposure(Model):
    """What one run trained on of one item. `exposure` is how often it trained on the item's n-grams, on average over them.

    `ngrams_seen` of its `ngrams` were trained on, at `places` in the documents; `ngram` are the words of the one that was
    trained on most, from an untrusted text.
    """

    ngrams: PositiveInt
    ngrams_seen: PositiveInt
    places: PositiveInt
    exposure: float = Field(gt=0)
    ngram: str


class FoundItem(Model):
    """An item of which some model was trained on an n-gram: id and line in its file, and what each such model saw of it."""

    id: str
    line: PositiveInt
    models: Mapping[str, ItemExposure]


class FoundItems(Published):
    """The items of every task of which some model was trained on an n-gram, in the order of the file."""

    FILE: ClassVar[str] = "contaminated_items.json"

    format: Literal[1] = 1
    tasks: Mapping[str, tuple[FoundItem, ...]]
