"""Tasks: from records to requests, from likelihoods to scores."""

import json
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.evaluation.tasks.baselines import TABLES, baseline_of
from tasks.evaluation.tasks.choose import items
from tasks.evaluation.tasks.encode import Pair, encoded, windows
from tasks.evaluation.tasks.item import Item, Likelihood, Request
from tasks.evaluation.tasks.kinds import TaskConfig, method
from tasks.evaluation.tasks.params import ScoreSetParams, TaskSetParams, task_digest
from tasks.evaluation.tasks.published import Score, TaskScores
from tasks.evaluation.tasks.scores import item_scores, score_set, task_scores
from tasks.evaluation.tasks.unit import Answered

ADAPTER: TypeAdapter[TaskConfig] = TypeAdapter(TaskConfig)
QUESTIONS = [{"query": f"{n} + {n} =", "choices": [str(n), str(2 * n)], "gold": 1} for n in range(1, 9)]


def config(kind: str, **values: Any) -> TaskConfig:
    return ADAPTER.validate_python({"kind": kind, **values})


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("kind", "record", "requests", "gold"),
    [
        ("multiple_choice", QUESTIONS[0], [("1 + 1 =", " 1"), ("1 + 1 =", " 2")], 1),
        (
            "schema",
            {"context_options": ["A so A", "A so B"], "continuation": "won.", "gold": 0},
            [("A so A", " won."), ("A so B", " won.")],
            0,
        ),
        ("last_word", {"context": "the cat sat on the", "continuation": "mat"}, [("the cat sat on the", " mat")], 0),
        ("gold_answer", {"context": "2 + 2 =", "answer": "4"}, [("2 + 2 =", " 4")], 0),
        ("minimal_pairs", {"sentence_good": "He is.", "sentence_bad": "He are."}, [("", "He is."), ("", "He are.")], 0),
        ("text", {"text": "Once."}, [("", "Once.")], 0),
    ],
)
def test_a_record_asks_for_the_likelihood_of_its_answers(
    kind: str, record: dict[str, Any], requests: list[tuple[str, str]], gold: int
) -> None:
    (item,) = items(config(kind), lines(record), "f.jsonl")
    assert [(one.context, one.continuation) for one in item.requests] == requests
    assert (item.gold, item.line) == (gold, 1)


def test_fields_of_other_names_and_labels_are_read() -> None:
    record = {"question": "Sky?", "choices": {"text": ["red", "blue"], "label": ["A", "B"]}, "answerKey": "B"}
    fields = {"query": "question", "choices": "choices.text", "labels": "choices.label", "gold": "answerKey"}
    (item,) = items(config("multiple_choice", fields=fields), lines(record), "f.jsonl")
    assert item.requests[item.gold] == Request("Sky?", " blue")


def test_a_solution_is_worked_out_before_the_answer_where_that_is_asked() -> None:
    record = {"context": "6 eggs, 2 eaten.", "chain": "6 - 2", "answer": "4"}
    task = config("gold_answer", reasoning_delimiter=" = ", fields={"reasoning": "chain"})
    (item,) = items(task, lines(record), "f.jsonl")
    assert item.requests == (Request("6 eggs, 2 eaten.", " 6 - 2 = 4"),)


def test_examples_stand_before_every_item_and_are_not_measured() -> None:
    task = config("multiple_choice", num_fewshot=2, instruction="Add.\n")
    found = items(task, lines(*QUESTIONS), "f.jsonl")
    assert len(found) == len(QUESTIONS) - 2
    starts = {one.requests[0].context[: -len("1 + 1 =")] for one in found}
    (before,) = starts
    shown = [record for record in QUESTIONS if f"{record['query']} {record['choices'][1]}\n\n" in before]  # type: ignore[index]
    assert len(shown) == 2
    assert before.startswith("Add.\n")


def test_which_items_are_chosen_does_not_depend_on_the_order_of_the_file() -> None:
    task = config("multiple_choice", num_fewshot=1, max_items=3)
    one, other = (items(task, lines(*records), "f") for records in (QUESTIONS, QUESTIONS[::-1]))
    assert {(item.id, item.requests) for item in one} == {(item.id, item.requests) for item in other}
    assert len(one) == 3
    assert [item.line for item in one] == sorted(item.line for item in one)


def test_a_record_that_stands_there_twice_is_two_items() -> None:
    first, second = items(config("multiple_choice"), lines(QUESTIONS[0], QUESTIONS[0]), "f")
    assert second.id == f"{first.id}-2"


@pytest.mark.parametrize(
    ("kind", "record", "told"),
    [
        ("multiple_choice", {**QUESTIONS[0], "gold": 2}, "`gold` is 2, not a number from 0 to 1"),
        ("multiple_choice", {**QUESTIONS[0], "gold": True}, "`gold` is True, not a number"),
        ("multiple_choice", {**QUESTIONS[0], "choices": []}, "`choices` is [], not a list of texts"),
        ("multiple_choice", {**QUESTIONS[0], "choices": ["1"], "gold": 0}, "there is 1 choice, so nothing to choose"),
        ("schema", {"context_options": ["A"], "continuation": "b", "gold": 0}, "there is 1 beginning"),
        ("last_word", {"context": "a"}, "`continuation` is missing, not text"),
        ("minimal_pairs", {"sentence_good": "a", "sentence_bad": "a"}, "both sentences are the same"),
        ("text", {"text": ""}, "`text` is empty"),
    ],
)
def test_a_record_that_is_none_of_its_kind_is_named(kind: str, record: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=r"^f\.jsonl, line 2: ") as caught:
        items(config(kind), "\n" + lines(record), "f.jsonl")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "there is no record"), ("{", "line 1: this is not JSON"), ("[]", "line 1: [], not an object")],
)
def test_a_file_of_no_records_is_named(text: str, told: str) -> None:
    with pytest.raises(DataError, match=r"^f\.jsonl") as caught:
        items(config("text"), text, "f.jsonl")
    assert told in str(caught.value)


def test_examples_need_records_to_be_left() -> None:
    with pytest.raises(ConfigError, match="8 examples leave none of its 8 records"):
        items(config("multiple_choice", num_fewshot=8), lines(*QUESTIONS), "f.jsonl")


def test_blanks_at_the_end_of_a_context_are_asked_for() -> None:
    assert encoded(Request("ab ", "c"), letters, 0) == Pair((97, 98), (32, 99))
    assert encoded(Request("", "c"), letters, 7) == Pair((7,), (99,))
    with pytest.raises(DataError, match="has no tokens"):
        encoded(Request("ab", ""), letters, 0)


def test_windows_ask_for_every_token_once() -> None:
    found = windows("abcde", letters, 0, 2)
    assert [pair.asked for pair in found] == [(97, 98), (99, 100), (101,)]
    assert [pair.given for pair in found] == [(0,), (98,), (100,)]


def test_scores_of_a_choice_stand_side_by_side() -> None:
    task = config("multiple_choice")
    item = Item("i", 1, (Request("q", " a"), Request("q", " bcd"), Request("q", " e")), gold=1)
    told = [Likelihood(log(p), 1, False) for p in (0.4, 0.3, 0.1)]
    scores = method(task).scores(task, item, told).values
    assert scores["log_p_correct"] == pytest.approx(log(0.3))
    assert scores["p_choice"] == pytest.approx(0.3 / 0.8)
    # By character, three letters of 0.3 are likelier than one of 0.4.
    assert (scores["accuracy"], scores["accuracy_by_character"]) == (0, 1)
    assert scores["centred_accuracy"] == pytest.approx((0 - 1 / 3) / (1 - 1 / 3))
    assert scores["gold_bits_per_byte"] == pytest.approx(-log(0.3) / log(2) / 4)


def test_the_bits_per_byte_of_a_file_are_those_of_all_its_text_together() -> None:
    task = config("text")
    texts = [("aaaa", 8.0), ("a", 1.0)]
    answered = [
        Answered(Item(text, 1, (Request("", text),)), (Likelihood(-bits * log(2), len(text), False),))
        for text, bits in texts
    ]
    found = task_scores("t", task, item_scores(task, answered))
    assert found.scores["bits_per_byte"].value == pytest.approx(9 / 5)


def test_a_task_tells_its_mean_and_its_doubt_about_items() -> None:
    task = config("last_word")
    answered = [
        Answered(Item(str(n), n, (Request("a", "b"),)), (Likelihood(log(exp(-n)), 1, n < 2),)) for n in (1, 2, 3)
    ]
    found = task_scores("t", task, item_scores(task, [*answered, Answered(answered[0].item, None)]))
    assert (found.items, found.left_out, found.primary) == (3, 1, "gold_bits_per_byte")
    score = found.scores["log_p_correct"]
    assert (score.value, score.direction) == (pytest.approx(-2), "higher")
    assert score.standard_error == pytest.approx(1 / 3**0.5)


def test_no_number_stands_for_items_that_were_not_measured() -> None:
    task = config("last_word")
    with pytest.raises(EvidenceError, match="all of its 1 items are longer"):
        task_scores("t", task, [None])
    broken = Answered(Item("i", 1, (Request("a", "b"),)), (Likelihood(float("nan"), 1, False),))
    with pytest.raises(EvidenceError, match="no finite number"):
        task_scores("t", task, item_scores(task, [broken]))


def test_a_set_of_scores_is_a_weighted_mean_in_which_more_is_better() -> None:
    task = config("last_word")
    item = Item("i", 1, (Request("a", "b"),))
    scored = {"t": task_scores("t", task, item_scores(task, [Answered(item, (Likelihood(-log(2), 1, True),))]))}
    mixed = score_set(ScoreSetParams(name="s", weights={"t": 1, "t.accuracy": 3}), scored)
    assert (mixed.value, mixed.direction) == (pytest.approx((-1 + 3 * 1) / 4), "higher")
    alone = score_set(ScoreSetParams(name="s", weights={"t": 1}), scored)
    assert (alone.value, alone.direction) == (pytest.approx(1), "lower")


def core_scores(accuracy: float) -> dict[str, TaskScores]:
    score = Score(value=accuracy, standard_error=None, direction="higher")
    return {
        task: TaskScores(items=1, left_out=0, primary="accuracy", scores={"accuracy": score})
        for task in TABLES["dclm_core_v2"]
    }


@pytest.mark.parametrize(
    ("table", "by_chance"),
    # What eval/aggregated_metrics.py of DCLM (361714b) tells where all 22 accuracies are 0.5.
    [("dclm_core_v1", 0.32049191761281387), ("dclm_core_v2", 0.30363740552843965)],
)
def test_core_is_the_mean_accuracy_centred_at_the_baselines_of_its_version(table: str, by_chance: float) -> None:
    core = ScoreSetParams.model_validate({"name": "core", "baselines": table})
    assert len(core.shares) == 22
    assert score_set(core, core_scores(1.0)).value == pytest.approx(1)
    assert score_set(core, core_scores(0.5)).value == pytest.approx(by_chance, abs=1e-12)


def test_part_of_core_is_a_set_of_its_own_and_only_accuracies_are_centred() -> None:
    part = ScoreSetParams(name="part", baselines="dclm_core_v2", weights={"boolq": 1, "copa.accuracy": 3})
    assert score_set(part, core_scores(0.81)).value == pytest.approx(
        ((0.81 - 0.62) / 0.38 + 3 * (0.81 - 0.5) / 0.5) / 4
    )
    with pytest.raises(ConfigError, match="has no baseline of sky; it has agi_eval_lsat_ar"):
        baseline_of("dclm_core_v1", "sky", "accuracy")
    with pytest.raises(ConfigError, match=r"copa\.log_p_correct is none: name copa\.accuracy"):
        baseline_of("dclm_core_v1", "copa", "log_p_correct")
    with pytest.raises(ValidationError, match="weights: there is none, so no mean"):
        ScoreSetParams(name="nothing")


@pytest.mark.parametrize(
    "changes",
    [
        {"num_fewshot": 1},
        {"instruction": "Choose."},
        {"answer_delimiter": ""},
        {"example_delimiter": "\n"},
        {"max_items": 3},
        {"seed": 1},
        {"fields": {"query": "question"}},
        {"kind": "gold_answer"},
    ],
)
def test_all_that_a_task_asks_is_part_of_what_it_is(changes: dict[str, Any]) -> None:
    asked = config("multiple_choice")
    assert task_digest("file", asked) == task_digest("file", config("multiple_choice"))
    assert task_digest("file", asked) != task_digest("file", config(**{"kind": "multiple_choice", **changes}))
    assert task_digest("file", asked) != task_digest("another", asked)


def test_names_of_tasks_are_their_own_and_sets_are_of_known_tasks(tmp_path: Path) -> None:
    one = {"name": "a", "file": "f", "task": {"kind": "text"}}
    with pytest.raises(ValueError, match="a stand there twice"):
        TaskSetParams.model_validate({"tasks": [one, one]})
    with pytest.raises(ValueError, match=r"no task is called b\.accuracy"):
        TaskSetParams.model_validate({"tasks": [one], "score_sets": [{"name": "s", "weights": {"b.accuracy": 1}}]})
    with pytest.raises(
        ValueError, match="s: 22 of the 22 tasks of dclm_core_v2 are not among tasks; first: agi_eval_lsat_ar"
    ):
        TaskSetParams.model_validate({"tasks": [one], "score_sets": [{"name": "s", "baselines": "dclm_core_v2"}]})
    with pytest.raises(ValueError, match="has to be above 0"):
        TaskSetParams.model_validate({"tasks": [one], "score_sets": [{"name": "s", "weights": {"a": 0}}]})
