"""Parallel sentences: what a model makes of sentences of a language and of the same in English."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.item import Likelihood
from tasks.evaluation.tasks.parallel_sentences import ParallelSentences, SentencePair, similarities
from tasks.evaluation.tasks.params import TaskParams, task_digest
from tasks.evaluation.tasks.published import Scores
from tasks.evaluation.tasks.stage import given_task
from tasks.evaluation.tasks.unit import answers, parts_of
from tasks.mixture.asked import tasks_of
from tasks.mixture.config import SearchParams
from tests.evaluation.test_task_models import MODEL, evaluate, model_folder, opened, params
from tests.in_process import InProcess
from tests.mixture.test_stage import PARAMS

SENTENCES = [f"{one} and {other}" for one in "abcdefgh" for other in "ijklm"]


@dataclass(frozen=True)
class Toy:
    """A model whose states are random by sentence, far from 0, and two layers apart only in scale; letters are tokens."""

    context_length: int = 24
    beginning: int = 0

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def likelihoods(self, pairs: Sequence[Any]) -> list[Likelihood]:
        raise AssertionError("nothing is asked for")

    def representations(self, inputs: Sequence[tuple[int, ...]], layers: Sequence[int] | None) -> np.ndarray:
        states = [np.random.default_rng(one).normal(9, 1, size=(1, 64)) * [[1], [2]] for one in inputs]
        return np.array(states, dtype=np.float32)


def task(**values: Any) -> ParallelSentences:
    return ParallelSentences.model_validate({"kind": "parallel_sentences", **values})


def lines(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(json.dumps({"text": text, "english": english}) + "\n" for text, english in pairs)


def pairs_of(texts: Sequence[str], english: Sequence[str]) -> list[SentencePair]:
    found = items(task(), lines(list(zip(texts, english, strict=True))), "f.jsonl")
    return [one for one in found if isinstance(one, SentencePair)]


def written(path: Path, texts: Sequence[str], english: Sequence[str]) -> Path:
    path.write_text(lines(list(zip(texts, english, strict=True))), encoding="utf-8")
    return path


def test_the_same_sentences_score_1_and_strangers_nothing() -> None:
    same = similarities(task(), Toy(), pairs_of(SENTENCES, SENTENCES), "f")
    assert same == pytest.approx([1.0] * len(SENTENCES))
    shuffled = similarities(task(), Toy(), pairs_of(SENTENCES, [*SENTENCES[1:], SENTENCES[0]]), "f")
    # Without the mean taken off each side, about 0.99: states are at 9 +- 1 in every direction.
    assert abs(float(np.mean(shuffled))) < 0.1


def test_the_order_of_pairs_changes_no_bit_and_all_are_answered_in_one_part() -> None:
    class Wild(Toy):
        """States of so many sizes that every sum of them is rounded."""

        def representations(self, inputs: Sequence[tuple[int, ...]], layers: Sequence[int] | None) -> np.ndarray:
            sizes = [np.exp(np.random.default_rng(one).normal(0, 9)) for one in inputs]
            return super().representations(inputs, layers) * np.array(sizes)[:, None, None]

    pairs = pairs_of(SENTENCES, SENTENCES[::-1])
    found = similarities(task(), Wild(), pairs, "f")
    assert similarities(task(), Wild(), pairs[::-1], "f") == found[::-1]
    assert len(set(found)) > 1
    assert [list(part) for part in parts_of(task(), pairs)] == [pairs]
    assert [one.answers for one in answers(Wild(), task(), pairs, "f")] == [(number,) for number in found]


def test_a_decoder_gives_the_state_at_the_end_of_each_sentence_whatever_is_read_with_it(tmp_path: Path) -> None:
    model = opened(model_folder(tmp_path / "m"))
    inputs = [(0, 5, 6), (0, 7), (0, 5, 6, 8), (0, 7)]
    together = model.representations(inputs, None)
    assert together.shape == (4, MODEL.num_layers, MODEL.hidden_size)
    alone = np.concatenate([model.representations([one], None) for one in inputs])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(model.representations(inputs, [2]), together[:, [1]])
    with pytest.raises(ConfigError, match="the model has 2 layers, so no 3"):
        model.representations(inputs, [1, 3])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports
def test_transformers_gives_the_same_states(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tasks.evaluation.tasks.transformers_model import TransformersModel

    folder = model_folder(tmp_path / "m")
    inputs = [(0, 5, 6), (0, 7)]
    ours, theirs = (one.representations(inputs, None) for one in (opened(folder), TransformersModel(folder, "cpu")))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_a_language_is_a_task_and_their_mean_a_set_of_scores(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m")
    same = written(tmp_path / "same.jsonl", SENTENCES, SENTENCES)
    other = written(tmp_path / "other.jsonl", SENTENCES[::-1], SENTENCES)
    asked = params(same).model_validate(
        {
            "tasks": [
                {"name": name, "file": str(file), "task": {"kind": "parallel_sentences"}}
                for name, file in (("same", same), ("other", other))
            ],
            "score_sets": [{"name": "languages", "weights": {"same": 1, "other.similarity": 1}}],
        }
    )
    executor = InProcess()
    evaluate(tmp_path, asked, model, executor)
    assert len(executor.done) == 2
    (scored,) = Scores.read(tmp_path / "scores").models
    told = {name: one.scores[one.primary].value for name, one in scored.tasks.items()}
    assert told["same"] == pytest.approx(1)
    assert told["other"] < 0.9
    assert scored.score_sets["languages"].value == pytest.approx(sum(told.values()) / 2)
    again = InProcess()
    evaluate(tmp_path, asked, model, again)
    assert again.done == []


def test_the_layers_are_part_of_what_a_task_is() -> None:
    digests = {task_digest("file", task(**values)) for values in ({}, {"layers": [1]}, {"layers": [1, 2]})}
    assert len(digests) == 3
    for layers in ([], [1, 1], [0]):
        with pytest.raises(ValueError, match="layers"):
            task(layers=layers)


def test_pairs_that_cannot_be_compared_are_refused_before_a_model_is_asked(tmp_path: Path) -> None:
    asked = TaskParams(name="t", file=str(tmp_path / "f.jsonl"), task=task())
    written(tmp_path / "f.jsonl", SENTENCES[:9], SENTENCES[:9])
    with pytest.raises(
        DataError, match="9 pairs with 9 different sentences in its language; their mean needs at least 10"
    ):
        given_task(asked)
    written(tmp_path / "f.jsonl", SENTENCES, ["a"] * len(SENTENCES))
    with pytest.raises(DataError, match="40 pairs with 1 different sentences in English"):
        given_task(asked)
    with pytest.raises(DataError, match="line 1: `english` is missing, not text"):
        items(task(), '{"text": "a"}', "f")
    with pytest.raises(DataError, match=r"line 1: `translation\.en` is empty"):
        items(task(fields={"english": "translation.en"}), '{"text": "a", "translation": {"en": " "}}', "f")


def test_each_half_of_a_search_needs_its_own_pairs(tmp_path: Path) -> None:
    asked = {"name": "t", "file": str(written(tmp_path / "f.jsonl", SENTENCES[:12], SENTENCES[:12])), "task": task()}
    searched = SearchParams.model_validate(PARAMS.model_dump() | {"tasks": [asked], "objective": {"t": 1.0}})
    with pytest.raises(DataError, match=r"f\.jsonl: \d pairs with \d different sentences"):
        tasks_of(searched)


def test_a_sentence_longer_than_the_context_is_named() -> None:
    pairs = pairs_of(["a"] * 8 + ["long one"] * 2, SENTENCES[:10])
    with pytest.raises(
        DataError, match="2 of 10 sentences are longer than the model's context of 7 tokens; first: line 9"
    ):
        similarities(task(), replace(Toy(), context_length=7), pairs, "f")
