"""The study of long contexts: it asks for what it trains on, and a group of documents fills a long sample."""

import json

import numpy as np

from benchmarks.studies import long_context as study
from tasks.core.rng import generator
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.needle import pairs
from tasks.training.chunks import in_turn


class Reads:
    context_length, beginning = 64, study._END

    def encode(self, text: str) -> list[int]:
        return study._Letters().encode(text, add_special_tokens=False).ids


def test_an_answer_is_made_of_the_tokens_of_the_fact_and_a_near_one_lies_within_the_training_length() -> None:
    text = json.dumps({"text": "plain text, as an article has it. " * 10})
    for name, task in study._TASKS.items():
        (one,) = items(task, text, "text")
        for (pair,) in pairs(task, Reads(), one):
            given = list(pair.given)
            place = next(at for at in range(len(given)) if tuple(given[at : at + 3]) == pair.asked)
            assert len(pair.inputs) == (64 if name == "near" else 256) and given[-1] >= study._QUESTIONS
            assert (len(given) - 1 - place - 3 >= 64) == (name != "near")


def test_documents_are_as_long_as_a_sample_and_a_group_of_them_has_no_alphabet_twice() -> None:
    draw, body = generator(0, "a test"), np.full(41, 97)
    group = [study._document(draw, number, body) for number in range(study._CHUNKS.documents)]
    assert {len(one) for one in group} == {study._LENGTH}
    laid = in_turn(study._CHUNKS, np.array([len(one) for one in group]), "facts")
    assert int(laid.lengths.sum()) == study._LONG
    asked = [sorted({int(token) for token in one if token >= study._QUESTIONS}) for one in group]
    assert [len(one) for one in asked] == [study._FACTS] * len(group)
    assert len({key for one in asked for key in one}) == study._FACTS * len(group)
    # A value stands there before it is asked for.
    for document in group:
        for place in np.flatnonzero(document >= study._QUESTIONS).tolist():
            value = document[place + 1 : place + 4].tolist()
            assert any(document[at : at + 3].tolist() == value for at in range(place))
