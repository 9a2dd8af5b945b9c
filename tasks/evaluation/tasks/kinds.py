"""All kinds of tasks: the union of their params, and the one place that finds the functions of a kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, assert_never

from pydantic import Field

from tasks.evaluation.tasks import (
    gold_answer,
    last_word,
    minimal_pairs,
    multiple_choice,
    needle,
    parallel_sentences,
    schema,
    text,
)
from tasks.evaluation.tasks.encode import Pair, Reads
from tasks.evaluation.tasks.gold_answer import GoldAnswer
from tasks.evaluation.tasks.item import Item, ItemScores
from tasks.evaluation.tasks.last_word import LastWord
from tasks.evaluation.tasks.minimal_pairs import MinimalPairs
from tasks.evaluation.tasks.multiple_choice import MultipleChoice
from tasks.evaluation.tasks.needle import Needle
from tasks.evaluation.tasks.parallel_sentences import ParallelSentences
from tasks.evaluation.tasks.records import Record
from tasks.evaluation.tasks.schema import Schema
from tasks.evaluation.tasks.text import HeldOutText

if TYPE_CHECKING:
    from tasks.evaluation.tasks.models import LanguageModel

TaskConfig = Annotated[
    MultipleChoice | Schema | LastWord | GoldAnswer | MinimalPairs | HeldOutText | Needle | ParallelSentences,
    Field(discriminator="kind"),
]


@dataclass(frozen=True)
class Comparison:
    """How items are answered that mean something only beside all others of their task.

    `answers(params, model, items, where)` returns one number for each, and `require(items, where)` raises where they
    are too few. `require_readable(params, model, num_layers, items, where)` raises where a model that is still to be trained
    could not answer them.
    """

    answers: Callable[[Any, "LanguageModel", Sequence[Any], str], list[float]]
    require: Callable[[Sequence[Any], str], None]
    require_readable: Callable[[Any, Reads, int, Sequence[Any], str], None]


@dataclass(frozen=True)
class Method:
    """The functions of a kind of task.

    `item(params, record, before)` makes what is asked of a model, `scores(params, item, answers)` what that is worth;
    `primary` names the score that decides. `example(params, record)` shows a record with its answer; None where there are
    no examples: then an item is whole text, and what is longer than the model's context is read in windows, unless the kind
    makes the tokens of each request itself: `pairs(params, model, item)`. An answer is the likelihood of a request; with a
    `comparison` it is that one's number, and all items are answered together.
    """

    item: Callable[[Any, Record, str], Item]
    scores: Callable[[Any, Item, Sequence[Any]], ItemScores]
    primary: str
    example: Callable[[Any, Record], str] | None = None
    comparison: Comparison | None = None
    pairs: Callable[[Any, Reads, Item], list[list[Pair]]] | None = None


def method(config: TaskConfig) -> Method:  # noqa: PLR0911 (one for each kind)
    """Return the functions of a kind of task."""
    match config:
        case MultipleChoice():
            return Method(
                multiple_choice.item, multiple_choice.scores, multiple_choice.PRIMARY, multiple_choice.example
            )
        case Schema():
            return Method(schema.item, schema.scores, schema.PRIMARY, schema.example)
        case LastWord():
            return Method(last_word.item, last_word.scores, last_word.PRIMARY, last_word.example)
        case GoldAnswer():
            return Method(gold_answer.item, gold_answer.scores, gold_answer.PRIMARY, gold_answer.example)
        case MinimalPairs():
            return Method(minimal_pairs.item, minimal_pairs.scores, minimal_pairs.PRIMARY, minimal_pairs.example)
        case HeldOutText():
            return Method(text.item, text.scores, text.PRIMARY)
        case Needle():
            return Method(needle.item, needle.scores, needle.PRIMARY, pairs=needle.pairs)
        case ParallelSentences():
            compared = Comparison(
                parallel_sentences.similarities, parallel_sentences.require_enough, parallel_sentences.require_readable
            )
            return Method(
                parallel_sentences.item, parallel_sentences.scores, parallel_sentences.PRIMARY, comparison=compared
            )
        case _:
            assert_never(config)
