"""A fact planted in text that has nothing to do with it, and asked for at its end: how far back a model finds it.

The needle in a haystack, with other facts of the same form beside it if asked for, so that it has to be found by its key.
Lengths are in tokens of the model: the same file asks every model over as many of its own tokens.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.errors import DataError
from tasks.core.rng import generator
from tasks.evaluation.tasks.baselines import centred
from tasks.evaluation.tasks.encode import Pair, Reads, encoded
from tasks.evaluation.tasks.item import Item, ItemScores, Likelihood, Request
from tasks.evaluation.tasks.prompt import ItemParams
from tasks.evaluation.tasks.records import Record

if TYPE_CHECKING:
    import numpy as np

PRIMARY = "accuracy"
_CITIES = (
    "Adelaide", "Bergen", "Cordoba", "Dakar", "Esbjerg", "Fukuoka", "Gdansk", "Hanoi", "Izmir", "Jakarta", "Kumasi", "Lyon",
    "Medan", "Nagoya", "Odessa", "Porto", "Quito", "Recife", "Salzburg", "Tromso", "Utrecht", "Verona", "Windhoek", "Zagreb",
)  # fmt: skip
# Where no values are given.
_NUMBERS = range(1000, 10_000)
Text = Annotated[str, Field(min_length=1)]


class Needle(ItemParams):
    """Records with `text`, each at least as long as the longest of `lengths`: the text that the needle is planted in."""

    kind: Literal["needle"]
    fields: Mapping[str, str] = Field(default_factory=dict, description="where a field has another name: text")
    lengths: tuple[PositiveInt, ...] = Field(
        min_length=1, description="tokens that a model reads, question and answer with them"
    )
    depths: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), min_length=1, description="share of the text that stands before the needle"
    )
    min_distance_tokens: PositiveInt | None = Field(
        default=None,
        description="tokens between needle and question at the least: depths are shares of the text before these, 1 = as "
        "near as may be; null = depth 1 is right before the question",
    )
    needle: str = Field(default=" The secret number of {key} is {value}.", description="what is planted")
    question: str = Field(default=" The secret number of {key} is", description="stands at the end")
    answer_delimiter: str = Field(default=" ", description="between the question and the value")
    keys: tuple[Text, ...] = Field(default=_CITIES, min_length=1, description="drawn from, by hash")
    values: tuple[Text, ...] = Field(default=(), description="drawn from, by hash; none = numbers of four digits")
    distractors: NonNegativeInt = Field(default=0, description="needles with other keys, at depths drawn by hash")
    beyond_context: bool = Field(
        default=False, description="true = ask for lengths beyond the model's context too; false = they are refused"
    )

    def mistakes(self) -> Iterable[str]:
        """Return what does not fit together."""
        if "{key}" not in self.needle or "{value}" not in self.needle:
            yield "needle: it has to hold {key} and {value}"
        if "{key}" not in self.question or "{value}" in self.question:
            yield "question: it has to hold {key}, and not {value}"
        if len({*self.lengths}) < len(self.lengths) or len({*self.depths}) < len(self.depths):
            yield "lengths and depths: one stands there twice"
        if len({*self.keys}) <= self.distractors:
            yield f"keys: {len({*self.keys})} are too few for a needle and {self.distractors} distractors"
        if self.min_distance_tokens is not None and self.min_distance_tokens >= min(self.lengths):
            yield (
                f"min_distance_tokens: {self.min_distance_tokens} tokens do not fit between needle and question within a "
                f"length of {min(self.lengths)}. Lower it, or leave the length out"
            )

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Every length with every depth: what each record is asked, in this order."""
        return [(length, depth) for length in self.lengths for depth in self.depths]

    @property
    def chance(self) -> float:
        """The accuracy of who knows which values there are, and guesses one.

        >>> Needle(kind="needle", lengths=(64,), values=("blue", "red", "blue")).chance
        0.6666666666666666
        """
        return max(Counter(self.values).values()) / len(self.values) if self.values else 1 / len(_NUMBERS)


def item(params: Needle, record: Record, before: str) -> Item:
    """Return the item of a record: a request for each length and depth.

    Raises:
        DataError: the field is missing or no text.
    """
    text = before + record.text("text")
    values = [_drawn(params, record.id, cell)[0][1] for cell in params.cells]
    requests = tuple(Request(text, params.answer_delimiter + value) for value in values)
    return Item(record.id, record.line, requests)


def pairs(params: Needle, model: Reads, one: Item) -> list[list[Pair]]:
    """Return the tokens of each request: as much of the text as its length has room for, with the needles in it.

    Raises:
        DataError: a text is too short for the longest of the lengths, or a length leaves no room for text, or not for
            `min_distance_tokens` of it.
    """
    filler = model.encode(one.requests[0].context)
    asked = zip(params.cells, one.requests, strict=True)
    return [[_pair(params, model, filler, request.continuation, one.id, cell)] for cell, request in asked]


def scores(params: Needle, one: Item, answers: Sequence[Likelihood]) -> ItemScores:
    """Return how often a model would have written the value: of all that is asked, by length, and by length and depth.

    Centred accuracy is 0 for who guesses among the values, 1 if all is found.
    """
    found = [float(answer.greedy) for answer in answers]
    accuracy = sum(found) / len(found)
    values = {"accuracy": accuracy}
    if params.chance < 1:
        values["centred_accuracy"] = centred(accuracy, params.chance)
    for length in params.lengths:
        own = [hit for hit, (size, _) in zip(found, params.cells, strict=True) if size == length]
        values[f"accuracy_{length}"] = sum(own) / len(own)
    cells = zip(found, params.cells, strict=True)
    return ItemScores(values | {f"accuracy_{length}_depth_{100 * depth:g}": hit for hit, (length, depth) in cells})


def _pair(params: Needle, model: Reads, filler: Sequence[int], answer: str, name: str, cell: tuple[int, float]) -> Pair:
    length, depth = cell
    planted = _drawn(params, name, cell)
    asked = encoded(Request(params.question.format(key=planted[0][0]), answer), model.encode, model.beginning)
    needles = [model.encode(params.needle.format(key=key, value=value)) for key, value in planted]
    # A document's beginning stands before all.
    room = length - 1 - sum(map(len, needles)) - len(asked.inputs)
    if room < 1:
        raise DataError(
            f"{length} tokens leave no room for text beside {len(needles)} needle(s) of {len(needles[0])} tokens and the "
            "question. Raise lengths, or lower distractors."
        )
    apart = params.min_distance_tokens or 0
    if room < apart:
        raise DataError(
            f"{length} tokens leave room for {room} of text, and min_distance_tokens asks for {apart} behind the needle. "
            "Raise lengths, or lower min_distance_tokens."
        )
    if len(filler) < room:
        raise DataError(
            f"its text has {len(filler)} tokens, and a length of {length} asks for {room} of it. Give longer texts, or "
            "lower lengths."
        )
    places = _generator(params, name, cell, "places").integers(0, room + 1, size=len(needles))
    places[0] = round(depth * (room - apart))
    given, taken = [model.beginning], 0
    for place, needle in sorted(zip(places.tolist(), needles, strict=True)):
        given += [*filler[taken:place], *needle]
        taken = place
    return Pair((*given, *filler[taken:room], *asked.given), asked.asked)


def _drawn(params: Needle, name: str, cell: tuple[int, float]) -> list[tuple[str, str]]:
    """Return key and value of the needle, then of its distractors, whose keys are others."""
    draw, keys = _generator(params, name, cell, "facts"), sorted({*params.keys})
    chosen = draw.choice(len(keys), size=params.distractors + 1, replace=False).tolist()
    if params.values:
        values = [params.values[number] for number in draw.integers(0, len(params.values), size=len(chosen)).tolist()]
    else:
        values = [str(number) for number in draw.integers(_NUMBERS.start, _NUMBERS.stop, size=len(chosen)).tolist()]
    return list(zip((keys[number] for number in chosen), values, strict=True))


def _generator(params: Needle, name: str, cell: tuple[int, float], what: str) -> "np.random.Generator":
    """Return what draws for a cell of an item, whichever other cells are asked for."""
    length, depth = cell
    return generator(params.seed, "needle", name, length, f"{depth:g}", what)
