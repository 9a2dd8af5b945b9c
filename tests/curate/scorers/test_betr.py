"""BETR: near to an example of a benchmark, whatever shards and workers; and what must not be a target."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infra.local_executor import LocalExecutor
from tasks.core.errors import ConfigError, DataError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.examples import chosen_examples, example_text
from tasks.embedding import kinds
from tasks.embedding.nearest import best_ranks
from tasks.embedding.wordllama import WordLlamaEmbedder
from tests.curate.scorers.embedded_folders import EMBEDDING, WORDS, curate, documents, scores, topical, write_items


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return write_items(tmp_path / "med_train.jsonl", [{"question": topical("med", 100 + i)} for i in range(3)])


def betr(target: Path, **more: object) -> dict[str, object]:
    return {"kind": "betr", "name": "near", "target": [str(target)], "embedding": EMBEDDING, **more}


def test_documents_near_to_an_example_come_first(tmp_path: Path, target: Path) -> None:
    unknown = {**documents(1)[0], "id": "unknown", "text": "42 7 !"}
    output, _ = curate(tmp_path, [betr(target)], [*documents(), unknown])
    found = scores(output, "near")
    best = sorted((name for name in found if name != "unknown"), key=lambda name: found[name]["near_rank"])
    assert {name[:3] for name in best[:8]} == {"med"}
    assert found[best[0]]["near"] == 1 == found[best[0]]["near_rank"]
    assert all(found[name]["near"] == 1 / found[name]["near_rank"] for name in best)
    assert np.isnan(found["unknown"]["near"])
    told = Scored.read(output).scorers["near"]
    assert told.without == 1 and told.learned["documents_ranked"] == 24
    assert told.learned["benchmarks"] == {"med_train": {"items": 3, "in_test": 0, "used": 3}}
    assert told.learned["warning"] == (
        "the target has 3 examples; no test split is named, so nothing says whether examples stand in one"
    )


def test_one_two_and_eight_shards_and_workers_give_the_same_scores(tmp_path: Path, target: Path) -> None:
    found = []
    scorers = [betr(target), betr(target, name="learned", documents=15, student={"positives": 0.4})]
    for number, bounds in enumerate(((), (11,), (3, 6, 9, 12, 15, 18, 21))):
        executor = LocalExecutor(2) if number == 1 else None
        output, _ = curate(tmp_path / str(number), scorers, documents(), bounds, executor)
        found.append([scores(output, name) for name in ("near", "learned")])
    assert repr(found[0]) == repr(found[1]) == repr(found[2])
    learned = found[0][1]
    assert sum(not np.isnan(row["learned_rank"]) for row in learned.values()) == 15
    best = sorted(learned, key=lambda name: -learned[name]["learned"])
    assert [name[:3] for name in best[:8]].count("med") >= 6


def test_a_fasttext_student_of_the_best_of_a_sample_scores_all_documents_whatever_their_shards(
    tmp_path: Path, target: Path
) -> None:
    pytest.importorskip("floret")
    training = {"dimension": 8, "num_buckets": 500, "epochs": 20}
    scorers = [betr(target, documents=15, student={"kind": "fasttext", "positives": 0.4, "training": training})]
    outputs = [
        curate(tmp_path / name, scorers, documents(), bounds)[0]
        for name, bounds in (("one", ()), ("eight", (3, 9, 20)))
    ]
    found, again = (scores(output, "near") for output in outputs)
    assert repr(found) == repr(again)
    best = sorted(found, key=lambda name: -found[name]["near"])
    assert [name[:3] for name in best[:8]].count("med") >= 6
    assert sum(not np.isnan(row["near_rank"]) for row in found.values()) == 15
    told = Scored.read(outputs[0]).scorers["near"].learned
    speak_for, against = (len({*told[f"words_{side}"].split()} & {*WORDS["med"]}) for side in ("for", "against"))
    assert speak_for > 3 * against
    published = [(output / "learned/near/model.bin").read_bytes() for output in outputs]
    assert published[0] == published[1]


def test_documents_are_embedded_once_for_all_scorers_of_one_embedding(tmp_path: Path, target: Path) -> None:
    law = write_items(tmp_path / "law_train.jsonl", [{"question": topical("law", 100)}])
    whole = {**EMBEDDING, "max_chars": None, "chunk_chars": 40}
    scorers = [betr(target), betr(law, name="law"), betr(law, name="whole", embedding=whole)]
    output, places = curate(tmp_path, scorers, documents(), (10,))
    assert len(places.touched["curate.embed"]) == 2 * 2 and len(places.touched["curate.embedder"]) == 2
    assert len(places.touched["curate.learn_vectors"]) == 3
    best = max(scores(output, "law").values(), key=lambda row: row["law"])
    assert best["source"] == "law"


def test_every_benchmark_gives_as_many_examples_and_none_that_stands_in_a_test_split(tmp_path: Path) -> None:
    long = [{"query": topical("med", i), "choices": ["yes", "no"], "gold": i % 2} for i in range(6)]
    many = write_items(tmp_path / "many.jsonl", long)
    few = write_items(tmp_path / "few.jsonl", [{"text": topical("law", i)} for i in range(4)])
    test = write_items(tmp_path / "test.jsonl", [{"text": "so " + topical("law", 2)}, {"text": topical("code", 1)}])
    found = chosen_examples({"few": few, "many": many}, {"test": test}, None, None, "here")
    assert found.told == {
        "few": {"items": 4, "in_test": 1, "used": 3},
        "many": {"items": 6, "in_test": 0, "used": 3},
    }
    assert sorted(found.benchmarks) == ["few"] * 3 + ["many"] * 3 and topical("law", 2) not in found.texts
    assert len(chosen_examples({"few": few, "many": many}, {}, None, 2, "here").texts) == 4
    reversed_file = write_items(tmp_path / "reversed.jsonl", long[::-1])
    again = chosen_examples({"few": few, "many": reversed_file}, {"test": test}, None, None, "here")
    assert again.texts == found.texts, "which examples are chosen does not depend on their order"


def test_a_test_split_is_refused_as_a_target(tmp_path: Path, target: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"scorer near: 3 of 3 examples of med_train stand in a test split \(med_test\)"
    ):
        test = write_items(tmp_path / "med_test.jsonl", [json.loads(line) for line in target.read_text().splitlines()])
        curate(tmp_path, [betr(target, test=[str(test)])], documents())


def test_a_target_without_a_known_word_or_a_sample_that_nothing_scores_is_refused(tmp_path: Path, target: Path) -> None:
    with pytest.raises(DataError, match=r"scorer near: its embedder tfidf knows no word of its 1 examples; it learns"):
        curate(tmp_path, [betr(write_items(tmp_path / "t.jsonl", [{"question": "12 34"}]))], documents())
    with pytest.raises(ValueError, match="documents ranks a sample, and nothing scores the others"):
        CurateParams.model_validate({"scorers": [betr(target, documents=5)]})


def test_an_item_is_its_fields_and_of_choices_the_right_one() -> None:
    item = {"query": "2 + 2?", "choices": ["3", "4"], "gold": 1, "labels": ["A", "B"], "note": "easy"}
    assert example_text(item, None) == "2 + 2?\neasy\n4"
    assert example_text(item, ("query",)) == "2 + 2?"
    assert example_text({"context": "a", "continuation": "b", "n": 3}, None) == "a\nb"


@pytest.mark.slow
def test_half_of_pubmed_questions_find_medicine_and_science_among_fourteen_sources(shared_data: Path) -> None:
    # The check of the recipe, on one in 10 documents.
    if find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed here")
    texts, sources = [], []
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            some = [json.loads(line)["text"][:4_000] for i, line in enumerate(lines) if i % 10 == 0]
        texts, sources = texts + some, sources + [path.name.rpartition("-")[0]] * len(some)
    lines_of_items = (shared_data / "evals/pubmed_qa_labeled.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines_of_items]
    examples = [example_text(item, None) for item in items[: len(items) // 2]]
    model = kinds.model_files(WordLlamaEmbedder(kind="wordllama"))
    assert model is not None
    embed = kinds.load(WordLlamaEmbedder(kind="wordllama"), model.folder)
    pool, asked = embed(texts), embed(examples)
    medical = np.isin(sources, ["qa_medquad", "scientific_acl"])
    top = len(texts) // 20

    def enrichment(order: np.ndarray) -> float:
        return float(medical[order[:top]].mean() / medical.mean())

    by_example = enrichment(np.argsort(best_ranks(asked, pool).rank_N, kind="stable"))
    # The mean of this target, which is about one thing, finds even more (12.1 against 9.5 times the natural share).
    assert by_example >= 4
