"""fastText trained on examples: the same bytes for any sharding, examples as they were named, and what it looks at."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.fasttext_model import inspect, load_model, one_line, plain_matrix, probabilities
from tasks.curate.fasttext_training import NEGATIVE, POSITIVE, FastTextTraining, examples_of, train
from tasks.curate.fasttext_words import strongest_words
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.fasttext_trained import METHOD, MODEL, FastTextTrained
from tasks.curate.scorers.method import Given, documents_of
from tasks.curate.stage import run
from tests.curate.fasttext_files import plain_model
from tests.curate.folders import Document, document, ingest_folder, rows, workshop

pytest.importorskip("floret")

MEDICINE = "the patient was given a dose of the drug and the disease went away within days"
LAW = "the court held that the party shall pay under section four of the act as amended"
SMALL = {"dimension": 8, "num_buckets": 500, "epochs": 20, "learning_rate": 0.5}
POOL = [
    document(f"d{i:02d}", f"{MEDICINE if i % 3 == 0 else LAW} case{i} note{i * i}", "med" if i % 3 == 0 else "law")
    for i in range(48)
]
MEDICAL = [row["id"] for row in POOL if row["source"] == "med"]


def scorer(**values: Any) -> FastTextTrained:
    return FastTextTrained.model_validate({"name": "hq", "training": SMALL} | values)


def learned(config: FastTextTrained, folder: Path, shards: Sequence[Sequence[Document]] = (POOL,)) -> dict[str, Any]:
    learning, files = METHOD.learning, METHOD.user_files(config)
    assert learning is not None
    held = learning.load(config, Given(files))
    tables = [pa.Table.from_pylist(list(shard)) for shard in shards]
    looks = [learning.look(config, documents_of(table), held) for table in tables]
    folder.mkdir()
    return dict(learning.learn(config, looks, files, folder))


def scores(folder: Path, config: FastTextTrained, texts: Sequence[str]) -> list[float]:
    table = pa.table({"id": [""] * len(texts), "source": [""] * len(texts), "text": texts})
    return METHOD.score(config, documents_of(table), METHOD.load(config, Given({}, folder)))[""].tolist()


def ids_file(path: Path, ids: Sequence[str]) -> str:
    path.write_text("".join(f"{name}\n" for name in ids))
    return str(path)


def records_file(path: Path, texts: Sequence[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def test_the_model_has_the_same_bytes_for_any_sharding(tmp_path: Path) -> None:
    config, models = scorer(positive_sources=["med"], max_examples=11), []
    for number, size in enumerate((48, 24, 6)):
        shards = [POOL[start : start + size] for start in range(0, 48, size)]
        told = learned(config, tmp_path / str(number), shards[::-1])
        models.append((tmp_path / str(number) / MODEL).read_bytes())
    assert models[0] == models[1] == models[2]
    assert (told["positive_examples"], told["negative_examples"]) == (11, 11)
    learned(config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert (tmp_path / "other" / MODEL).read_bytes() != models[0]


def test_what_it_has_learned_tells_texts_apart_and_is_published_for_the_kind_that_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    ingest_folder(tmp_path / "ingest", [POOL[:20], POOL[20:]])
    base = {"profile": "all", "profiles": {"all": {"rules": {}}}, "duplicates": None}
    trained = {"kind": "fasttext_trained", "name": "hq", "positive_sources": ["med"], "training": SMALL}
    places = workshop(tmp_path)
    inputs = {"ingest": tmp_path / "ingest"}
    params = CurateParams.model_validate({**base, "scorers": [trained]})
    run(params, inputs=inputs, output=tmp_path / "out", workshop=places)
    found = rows(tmp_path / "out", "scores/hq")
    assert min(row["hq"] for row in found if row["source"] == "med") > 0.6
    assert max(row["hq"] for row in found if row["source"] == "law") < 0.4
    told = Scored.read(tmp_path / "out").scorers["hq"].learned
    assert {"patient", "dose", "drug"} <= {*told["words_for"].split()} and "court" in told["words_against"].split()
    assert told["warning"].startswith("16 examples of a class say little")
    model = tmp_path / "out" / "learned" / "hq" / "model.bin"
    assert "learned/hq/model.bin" in {file.path for file in Manifest.read(tmp_path / "out").files}
    applied = {"kind": "fasttext", "name": "hq", "model": str(model), "label": POSITIVE}
    params = CurateParams.model_validate({**base, "scorers": [applied]})
    run(params, inputs=inputs, output=tmp_path / "again", workshop=places)
    assert rows(tmp_path / "again", "scores/hq") == found


def test_another_way_of_training_makes_no_look_again(tmp_path: Path) -> None:
    ingest_folder(tmp_path / "ingest", [POOL])
    places, keys = workshop(tmp_path), []
    for epochs in (1, 2):
        places.touched.clear()
        chosen = {"kind": "fasttext_trained", "name": "hq", "positive_sources": ["med"]}
        values = {"scorers": [chosen | {"training": SMALL | {"epochs": epochs}}], "duplicates": None}
        run(
            CurateParams.model_validate({**values, "profile": "all", "profiles": {"all": {"rules": {}}}}),
            inputs={"ingest": tmp_path / "ingest"},
            output=tmp_path / "out",
            workshop=places,
        )
        keys.append([frozenset(places.touched[name]) for name in ("curate.look", "curate.learn")])
    assert keys[0][0] == keys[1][0] and keys[0][1] != keys[1][1]


def test_examples_are_named_by_file_source_and_id_and_an_id_says_more_than_a_source(tmp_path: Path) -> None:
    config = scorer(
        positive_files=[records_file(tmp_path / "p.jsonl", [MEDICINE, "a cure"])],
        positive_ids=ids_file(tmp_path / "p.txt", ["d01", "d02", "nowhere"]),
        negative_sources=["law"],
    )
    told = learned(config, tmp_path / "out")
    laws = sum(row["source"] == "law" for row in POOL)
    assert (told["positive_examples"], told["negative_examples"]) == (4, laws - 2)
    assert told["positive_ids_not_there"] == 1


def test_a_target_inside_the_pool_is_counted_and_its_documents_are_no_negatives(tmp_path: Path) -> None:
    texts = [row["text"] for row in POOL if row["source"] == "med"]
    config = scorer(positive_files=[records_file(tmp_path / "p.jsonl", texts)])
    assert METHOD.target is not None
    assert METHOD.target(config, ["positive.p", "positive_ids", "negative.n"]).files == ("positive.p",)
    told = learned(config, tmp_path / "out")
    assert told["negatives_that_are_positives"] == len(texts)
    assert told["negative_examples"] == len(texts)
    assert min(scores(tmp_path / "out", config, texts)) > 0.6


def test_words_that_end_a_line_or_look_like_a_label_are_words(tmp_path: Path) -> None:
    texts = ["good __label__other good", "good </s> fine\ngood", "bad bad", "bad\r\nbad </s> worse"]
    examples = examples_of([*"abcd"], texts, [True, True, False, False], 0)
    train(examples, FastTextTraining(**{**SMALL, "word_ngrams": 1, "epochs": 200}), 0, tmp_path / MODEL, "here")
    assert {*inspect(tmp_path / MODEL).labels} == {POSITIVE, NEGATIVE}
    model = load_model(tmp_path / MODEL, "here")
    one, same = probabilities(model, POSITIVE, ["bad </s> good good good", "bad good good good"])
    assert one == same > 0.5
    words = strongest_words(tmp_path / MODEL, POSITIVE, 1)
    assert [*words["for"]] == ["good"] and [*words["against"]] == ["bad"]


def test_the_words_are_those_whose_vectors_point_to_the_label(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(plain_model(("good", "bad"), ("__label__hq", "__label__cc")))
    assert strongest_words(path, "__label__hq", 5) == {"for": {"good": 81.0}, "against": {"bad": -81.0}}
    assert plain_matrix(path, inspect(path).matrices[0] or 0).tolist() == [[9, 0], [0, 9]]


def test_predictions_are_those_of_the_library(tmp_path: Path) -> None:
    config = scorer(positive_sources=["med"])
    learned(config, tmp_path / "out")
    model = fasttext.load_model(str(tmp_path / "out" / MODEL))
    labels, expected = model.predict(one_line(POOL[0]["text"]), k=2)
    assert scores(tmp_path / "out", config, [POOL[0]["text"]]) == [min(1.0, expected[labels.index(POSITIVE)])]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "no positives: name positive_files, positive_sources or positive_ids"),
        ({"positive_sources": ["a", "b"], "negative_sources": ["b"]}, "source 'b' is both positive and negative"),
        ({"positive_sources": []}, "at least 1 item"),
        ({"positive_sources": ["a"], "training": {"epochs": 0}}, "greater than or equal to 1"),
    ],
)
def test_examples_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scorer(**values)


@pytest.mark.parametrize(
    ("files", "values", "said"),
    [
        ({}, {"positive_sources": ["medi"]}, "scorer hq, positive_sources: no document is of the source 'medi'"),
        ({"i": "a\nb\n"}, {"positive_ids": "i"}, "positive_ids: none of its 2 ids is that of a document, such as a"),
        ({"i": "\n"}, {"positive_ids": "i"}, "scorer hq: there is no id in .*i. Name a file with one id a line"),
        ({"i": "d00\n"}, {"positive_ids": "i", "negative_ids": "i"}, "1 ids stand in positive_ids and in negative_ids"),
        ({"f.jsonl": '{"a": " "}\n'}, {"positive_files": ["f.jsonl"]}, "no positive example with a word in it"),
        ({"f.jsonl": ""}, {"positive_files": ["f.jsonl"]}, "f.jsonl: there is no item in it"),
        ({}, {"positive_sources": ["med", "law"]}, "no negative example with a word in it, and two classes"),
        (
            {},
            {"positive_sources": ["med"], "training": {**SMALL, "min_count": 99}},
            "no word stands 99 times in its 32 ex",
        ),
        ({}, {"positive_sources": ["med"], "training": {**SMALL, "learning_rate": 1e9}}, "Lower learning_rate"),
    ],
)
def test_examples_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], values: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises((DataError, ConfigError), match=said):
        learned(scorer(**values), tmp_path / "out")


def test_without_its_package_training_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "floret", None)
    with pytest.raises(ConfigError, match=r"pip install 'mixwright\[classifiers\]'"):
        learned(scorer(positive_sources=["med"]), tmp_path / "out")


def test_examples_of_ten_documents_are_a_warning_and_no_refusal(tmp_path: Path) -> None:
    config = scorer(positive_ids=ids_file(tmp_path / "ten.txt", MEDICAL[:10]))
    told = learned(config, tmp_path / "out")
    assert told["positive_examples"] == told["negative_examples"] == 10
    assert "10 examples of a class say little" in told["warning"] and "hardly" not in told["warning"]
    short = {**SMALL, "epochs": 1, "learning_rate": 0.01}
    told = learned(config.model_copy(update={"training": FastTextTraining(**short)}), tmp_path / "short")
    assert "of its negatives: it has hardly learned; raise training.epochs" in told["warning"]
    assert not np.isnan(scores(tmp_path / "out", config, [MEDICINE])).any()
