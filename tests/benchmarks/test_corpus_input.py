"""The input of the real search: the corpus, and benchmark items as its target."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks import corpus_input
from benchmarks.corpus_input import MAX_ITEMS, TARGET_FILE, TASKS, main, spaced, target
from benchmarks.corpus_input import corpus_input as write

CHOICE = {"query": "Question: What is wet?\n", "choices": ["fire", "water"], "gold": 1}
LANGUAGE = {"context": "Water is", "continuation": "wet"}
ITEMS = {
    "triviaqa_sm_sub": {"context": "Question: What is wet?\nAnswer:", "answer": "Water", "aliases": ["Rain"]},
    "jeopardy_all": LANGUAGE,
    "pubmed_qa_labeled": {"context": "Is it wet?\nAnswer: ", "continuation": "yes"},
    "lambada_openai": LANGUAGE,
    "svamp": {"context": "One and one?", "chain_of_thought": "( 1 + 1 )", "answer": "2"},
    "gsm8k": {"context": "One and one?", "chain_of_thought": "1 + 1 = 2", "answer": "2"},
    "human_eval": {"prompt": "def two():\n", "canonical_solution": "    return 2\n", "test": "assert two() == 2"},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five items of every task and a corpus of one file."""
    for folder in ("corpus", "evals"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "corpus" / "web-000.jsonl.gz").write_bytes(gzip.compress(b'{"id": "1"}\n', mtime=0))
    for task in TASKS:
        line = json.dumps(ITEMS.get(task, CHOICE)) + "\n"
        (tmp_path / "data" / "evals" / f"{task}.jsonl").write_text(line * 5)
    return tmp_path / "data"


def test_a_document_is_the_question_with_its_gold_answer(data: Path) -> None:
    texts = {task.task: task.texts[0] for task in target(data / "evals")}
    assert texts["arc_easy"] == texts["mmlu"] == "Question: What is wet?\nAnswer: water"
    assert texts["commonsense_qa"] == "Question: What is wet? water"
    assert texts["triviaqa_sm_sub"] == "Question: What is wet?\nAnswer: Water"
    assert texts["jeopardy_all"] == "Water is\nAnswer: wet"
    assert texts["lambada_openai"] == "Water is wet"
    assert texts["pubmed_qa_labeled"] == "Is it wet?\nAnswer: yes"
    assert texts["gsm8k"] == "One and one?\n1 + 1 = 2\nAnswer: 2"
    assert texts["human_eval"] == "def two():\n    return 2\n"


def test_every_document_is_of_the_source_target_and_has_an_id_of_its_own(data: Path, tmp_path: Path) -> None:
    write(data, tmp_path / "out")
    lines = gzip.decompress((tmp_path / "out" / TARGET_FILE).read_bytes()).splitlines()
    records = [json.loads(line) for line in lines]
    assert {record["source"] for record in records} == {"target"}
    assert len({record["id"] for record in records}) == len(records) == 5 * len(TASKS)
    assert "svamp/4" in {record["id"] for record in records}


def test_the_corpus_lies_beside_the_target_and_the_bytes_are_the_same_every_time(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(data, tmp_path / name)
    written = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert written[0] == written[1]
    assert written[0].keys() == {"web-000.jsonl.gz", TARGET_FILE}
    # Bytes 4 to 7 of gzip are the time of writing.
    assert written[0][TARGET_FILE][4:8] == bytes(4)


def test_a_long_task_gives_as_many_items_as_the_others_from_all_over_its_file(data: Path) -> None:
    for task in target(data / "evals", max_items=2):
        assert task.ids == (f"{task.task}/0", f"{task.task}/2")
    positions = spaced(1_319, MAX_ITEMS)
    assert len(set(positions)) == MAX_ITEMS
    assert positions[-1] >= 1_319 - 4


def test_without_the_shared_data_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(corpus_input, "shared", lambda: None)
    assert main([str(tmp_path / "out")]) == 0
    assert "skipped: no shared data here" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_the_real_target_is_large_enough_to_measure_with_and_no_task_is_most_of_it(shared_data: Path) -> None:
    tasks = target(shared_data / "evals")
    size = sum(task.bytes for task in tasks)
    assert size > 2_000_000
    assert max(task.bytes for task in tasks) < size / 3
    assert all(text.strip() for task in tasks for text in task.texts)
