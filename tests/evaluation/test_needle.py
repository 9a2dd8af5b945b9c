"""The needle task: planted where it says, as long as it says, the same every time, found by a model that looks back."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import DataError
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.fit import FutureModel, require_readable
from tasks.evaluation.tasks.item import Item, Likelihood
from tasks.evaluation.tasks.kinds import TaskConfig
from tasks.evaluation.tasks.needle import Needle, pairs, scores
from tasks.evaluation.tasks.unit import answers

FILLER = "abcdefgh" * 60
ADAPTER: TypeAdapter[TaskConfig] = TypeAdapter(TaskConfig)


def config(**values: Any) -> Needle:
    given = {"kind": "needle", "lengths": [128, 256], "depths": [0.0, 0.5, 1.0], "keys": ["X", "Y", "Z"]}
    task = ADAPTER.validate_python({**given, **values})
    assert isinstance(task, Needle)
    return task


def asked(task: Needle, *texts: str) -> list[Item]:
    return items(task, "".join(json.dumps({"text": text}) + "\n" for text in texts), "f.jsonl")


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


@dataclass(frozen=True)
class Looks:
    """A model of letters that answers from as many of the last tokens as it can see."""

    sees: int
    context_length: int = 256
    beginning: int = 0

    def encode(self, text: str) -> list[int]:
        return letters(text)

    def likelihoods(self, given: Any) -> list[Likelihood]:
        found = []
        for pair in given:
            text = "".join(map(chr, pair.given))
            question = text[-len(" The secret number of X is") :]
            behind = text[-self.sees :].partition(f"{question} ")[2].partition(".")[0]
            found.append(Likelihood(-1.0, len(pair.asked), behind == "".join(map(chr, pair.asked)).strip()))
        return found


def test_every_request_is_as_long_as_it_says_with_the_needle_at_its_depth() -> None:
    task = config(distractors=1)
    (one,) = asked(task, FILLER)
    found = [pair for (pair,) in pairs(task, Looks(256), one)]
    assert [len(pair.inputs) for pair in found] == [128] * 3 + [256] * 3
    for (length, depth), pair, request in zip(task.cells, found, one.requests, strict=True):
        text = "".join(map(chr, pair.given[1:]))
        question = text[-len(" The secret number of X is") :]
        answer = "".join(map(chr, pair.asked))
        planted = f"{question}{answer}."
        before, _, behind = text.partition(planted)
        assert answer == request.continuation and behind.endswith(question) and len(answer) == 5
        # The other needle stands on one of the sides: without both all that is left is the filler as it was.
        sides = [part.partition(" The secret number of ") for part in (before, behind.removesuffix(question))]
        rests = [first + last[len("X is 1234.") :] for first, _, last in sides]
        assert FILLER.startswith("".join(rests)) and abs(len(rests[0]) - depth * len("".join(rests))) <= 0.5
        assert text.count("secret") == 3 and pair.given[0] == 0 and length == len(text) + len(answer)


def test_a_needle_stands_no_nearer_than_it_may() -> None:
    near, far = config(), config(min_distance_tokens=60)
    (one,), behind = asked(far, FILLER), list[int]()
    assert one.requests == asked(near, FILLER)[0].requests
    for (pair,) in pairs(far, Looks(256), one):
        text = "".join(map(chr, pair.given[1:]))
        question = text[-len(" The secret number of X is") :]
        planted = f"{question}{''.join(map(chr, pair.asked))}."
        behind.append(len(text) - len(question) - text.index(planted) - len(planted))
    assert [behind[place] for place in (2, 5)] == [60, 60]
    assert abs(2 * behind[1] - behind[0] - 60) <= 1 and abs(2 * behind[4] - behind[3] - 60) <= 1
    # Who sees as many tokens finds none of them; where the needle may stand right before the question it finds some.
    found = [answers(Looks(60), task, asked(task, FILLER), "f.jsonl")[0].answers for task in (far, near)]
    assert [sum(answer.greedy for answer in told or ()) for told in found] == [0, 2]


def test_accuracy_is_told_beside_that_of_a_guess() -> None:
    assert config().chance == 1 / 9000 and config(values=["1", "2", "2", "3"]).chance == 0.5
    task = config(values=["1234", "5678"])
    for right, centred in ((3, 0.0), (6, 1.0), (0, -1.0)):
        found = [Likelihood(-1.0, 1, place < right) for place in range(6)]
        told = scores(task, asked(task, FILLER)[0], found).values
        assert (told["accuracy"], told["centred_accuracy"]) == (right / 6, centred)
    # Of one value there is nothing to find.
    certain = config(values=["1"])
    assert "centred_accuracy" not in scores(certain, asked(certain, FILLER)[0], found).values


def test_what_is_planted_depends_on_seed_and_record_alone_and_not_on_other_lengths() -> None:
    one, other = asked(config(), FILLER, FILLER + "!"), asked(config(), FILLER + "!", FILLER)
    assert {(item.id, item.requests) for item in one} == {(item.id, item.requests) for item in other}
    assert [item.requests for item in asked(config(seed=1), FILLER, FILLER + "!")] != [item.requests for item in one]
    (more,) = asked(config(lengths=[64, 256]), FILLER)
    assert more.requests[3:] == one[0].requests[3:]


def test_scores_say_how_far_back_a_model_finds() -> None:
    task = config()
    (answered,) = answers(Looks(175), task, asked(task, FILLER), "f.jsonl")
    assert answered.answers is not None
    values = scores(task, answered.item, answered.answers).values
    assert (values["accuracy_128"], values["accuracy_256"]) == (1.0, pytest.approx(2 / 3))
    assert (values["accuracy_256_depth_0"], values["accuracy_256_depth_50"], values["accuracy_256_depth_100"]) == (
        0,
        1,
        1,
    )
    assert values["accuracy"] == pytest.approx(5 / 6)


def test_lengths_beyond_the_context_are_refused_or_asked_for_all_the_same() -> None:
    model, beyond = FutureModel(letters, 200, 1), config(beyond_context=True)
    with pytest.raises(DataError, match=r"1 of 1 items are longer than .* 200 tokens; .* set beyond_context"):
        require_readable(model, config(), asked(config(), FILLER), "f.jsonl")
    require_readable(model, beyond, asked(beyond, FILLER), "f.jsonl")
    (answered,) = answers(Looks(256, 200), beyond, asked(beyond, FILLER), "f.jsonl")
    assert answered.answers is not None and all(answer.greedy for answer in answered.answers)


@pytest.mark.parametrize(
    ("values", "text", "told"),
    [
        ({}, "short", r"line 1: its text has 5 tokens, and a length of 128 asks for 6\d of it"),
        ({"lengths": [40]}, FILLER, r"line 1: 40 tokens leave no room for text beside 1 needle"),
        (
            {"min_distance_tokens": 100},
            FILLER,
            r"line 1: 128 tokens leave room for 6\d of text, and min_distance_tokens asks for 100 behind the needle",
        ),
    ],
)
def test_texts_and_lengths_that_do_not_fit_are_refused(values: dict[str, Any], text: str, told: str) -> None:
    task = config(**values)
    with pytest.raises(DataError, match=told):
        answers(Looks(256), task, asked(task, text), "f.jsonl")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"needle": "{key}"}, "hold {key} and {value}"),
        ({"question": "{key} {value}"}, "and not {value}"),
        ({"distractors": 3}, "3 are too few for a needle and 3 distractors"),
        ({"lengths": [64, 64]}, "one stands there twice"),
        ({"depths": [0.5, 1.5]}, "less than or equal to 1"),
        ({"min_distance_tokens": 128}, "128 tokens do not fit between needle and question within a length of 128"),
    ],
)
def test_params_that_ask_for_nothing_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        config(**values)
