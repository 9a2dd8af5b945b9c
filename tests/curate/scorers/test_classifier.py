"""Classifiers of transformers: probabilities and values, long documents in chunks, and Celadon's heads with their rule."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.errors import ConfigError
from tasks.curate.config import CurateParams
from tasks.curate.published.funnel import Funnel
from tasks.curate.scorers import celadon, classifier
from tasks.curate.scorers.celadon import Celadon
from tasks.curate.scorers.classifier import Classifier
from tasks.curate.scorers.method import Documents, Given, ScorerMethod, documents_of
from tasks.curate.scorers.toxicity import HEADS, verdict
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop
from tests.curate.scorers.models import celadon_folder, classifier_folder

pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of transformers' own imports

TEXTS = ["good fine the good", "bad poor", "", "the a of " * 40 + "bad", "good"]


def documents(texts: Sequence[str]) -> Documents:
    return documents_of(pa.table({"id": [*map(str, range(len(texts)))], "source": [""] * len(texts), "text": texts}))


def scores(method: ScorerMethod, config: Any, texts: Sequence[str] = TEXTS) -> dict[str, np.ndarray]:
    held = method.load(config, Given(method.user_files(config)))
    return method.score(config, documents(texts), held)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = {0: "low", 1: "middle", 2: "high"}
    return classifier_folder(tmp_path_factory.mktemp("models") / "three", id2label=labels)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return celadon_folder(tmp_path_factory.mktemp("models") / "celadon")


def config(model: Path, **values: Any) -> Classifier:
    return Classifier(name="edu", model=str(model), chunk_tokens=values.pop("chunk_tokens", 10), **values)


def by_hand(model: Path, text: str, size: int) -> np.ndarray:
    """The mean over tokens of the shares of labels in chunks of a text, as transformers gives them."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    net, tokenizer = AutoModelForSequenceClassification.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    chunks = [ids[at : at + size - 2] for at in range(0, len(ids), size - 2)]
    with torch.no_grad():
        shares = [net(input_ids=torch.tensor([[2, *chunk, 3]])).logits.softmax(-1)[0].numpy() for chunk in chunks]
    return np.average(shares, axis=0, weights=[len(chunk) for chunk in chunks])


def test_a_score_is_the_probability_of_its_label_over_the_tokens_of_all_chunks(model: Path) -> None:
    found = scores(classifier.METHOD, config(model, label="high"))[""]
    for row in (0, 1, 3, 4):
        assert found[row] == pytest.approx(by_hand(model, TEXTS[row], 10)[2], abs=1e-6)
    assert np.isnan(found[2])
    assert found[[0, 1, 3, 4]].std() > 0.01


def test_without_a_label_it_is_the_expected_value_or_the_one_output(model: Path, tmp_path: Path) -> None:
    expected = scores(classifier.METHOD, config(model))[""]
    assert expected[3] == pytest.approx(by_hand(model, TEXTS[3], 10) @ [0, 1, 2], abs=1e-6)
    valued = scores(classifier.METHOD, config(model, values=(5, 5, -1)))[""]
    assert valued[3] == pytest.approx(by_hand(model, TEXTS[3], 10) @ [5, 5, -1], abs=1e-6)
    regression = classifier_folder(tmp_path / "one", labels=1)
    found = scores(classifier.METHOD, config(regression))[""]
    assert not ((found >= 0) & (found <= 1))[[0, 1, 3, 4]].all()


def test_labels_that_do_not_exclude_each_other_have_probabilities_of_their_own(tmp_path: Path) -> None:
    labels = {0: "a", 1: "b"}
    folder = classifier_folder(tmp_path / "m", 2, id2label=labels, problem_type="multi_label_classification")
    one, other = (scores(classifier.METHOD, config(folder, label=label))[""] for label in "ab")
    assert abs(np.nansum(one + other) - 4) > 0.01


def test_a_score_is_the_same_bits_whatever_else_is_in_the_shard(model: Path) -> None:
    together = scores(classifier.METHOD, config(model, label="low"))[""]
    alone = [scores(classifier.METHOD, config(model, label="low"), [text])[""][0] for text in TEXTS]
    assert together.tobytes() == np.array(alone).tobytes()


def test_batches_of_a_gpu_say_what_chunks_alone_say(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their shapes, computed on the processor.
    import torch

    monkeypatch.setattr("tasks.curate.scorers.transformer._BATCH_TOKENS", 60)
    monkeypatch.setattr("tasks.curate.scorers.transformer._LENGTHS", 6)
    texts = [*TEXTS, "bad fine " * 30]
    alone = scores(classifier.METHOD, config(model, label="high"), texts)[""]
    given = config(model, label="high")
    reader, score_of = classifier.METHOD.load(given, Given(classifier.METHOD.user_files(given)))
    shapes: set[tuple[int, ...]] = set()

    def outputs(net: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        shapes.add(tuple(inputs["input_ids"].shape))
        return net(**inputs).logits

    filled = type(reader)(reader.model, reader.tokenizer, reader.chunk_tokens, "cpu:0", outputs)
    assert filled.read(texts, score_of)[:, 0] == pytest.approx(alone, abs=1e-5, nan_ok=True)
    assert shapes == {(10, 6), (6, 10)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label": "hq"}, "scorer edu: its model has no label 'hq'. It has low, middle, high"),
        ({"values": (1, 2)}, "scorer edu: 2 values, but 3 labels in its model"),
        ({"chunk_tokens": 33}, "chunk_tokens: 33, and .* reads at most 32 tokens"),
    ],
)
def test_what_a_model_has_not_is_named(model: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scores(classifier.METHOD, config(model, **values))


def test_a_folder_without_a_classifier_is_refused(model: Path, heads: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"scorer edu, model: there is no config.json and no GGUF file in .*, so no mod"
    ):
        scores(classifier.METHOD, config(tmp_path))
    with pytest.raises(ConfigError, match=r"weights of a DebertaV2ForSequenceClassification are not in .*classifier"):
        scores(classifier.METHOD, config(heads))
    with pytest.raises(
        ConfigError, match=r"has not the 5 heads of 4 levels that Celadon has \(heads.0.weight, \.\.\.\)"
    ):
        scores(celadon.METHOD, Celadon(name="tox", model=str(model), chunk_tokens=10))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard_of", "auto_map": {"AutoModel": "x.Y"}}))
    with pytest.raises(ConfigError, match="transformers cannot load"):
        scores(classifier.METHOD, config(tmp_path))
    with pytest.raises(ValueError, match="values are those of an expected value"):
        config(model, label="low", values=(1, 2, 3))


def test_the_rule_of_celadon_parts_all_levels_in_three() -> None:
    # The check of the recipe: all 4^5 tuples.
    levels = np.array([*product(range(4), repeat=5)])
    found = verdict(levels)
    for row, level in zip(found.tolist(), levels.tolist(), strict=True):
        none = sum(level) <= 3 and max(level) <= 2
        mild = 4 <= sum(level) <= 6 or (sum(level) == 3 and max(level) == 3)
        assert [none, mild, sum(level) >= 7].count(True) == 1
        assert row == [none, mild, True].index(True)
    assert np.bincount(found).tolist() == [51, 306, 667]


def test_celadon_has_a_level_of_each_head_from_its_weights_alone(heads: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    weights = load_file(heads / "model.safetensors")
    with torch.no_grad():
        state = AutoModel.from_pretrained(heads)(input_ids=torch.tensor([[2, 5, 7, 3]])).last_hidden_state[0, 0]
        levels = [
            int((weights[f"heads.{head}.weight"] @ state + weights[f"heads.{head}.bias"]).argmax()) for head in range(5)
        ]
    found = scores(celadon.METHOD, Celadon(name="tox", model=str(heads), chunk_tokens=10))
    assert [found[head][1] for head in HEADS] == levels
    assert found[""][1] == sum(levels) and found["verdict"][1] == verdict(np.array([levels]))[0]
    assert all(np.isnan(values[2]) for values in found.values())
    weighted = scores(celadon.METHOD, Celadon(name="tox", model=str(heads), chunk_tokens=10, weights=(2, 0, 0, 0, 1)))
    assert weighted[""][1] == 2 * levels[0] + levels[4]


def test_what_removal_by_the_rule_leaves_of_each_source_is_reported(heads: Path, tmp_path: Path) -> None:
    words = ["good", "bad", "fine", "poor", "the", "a", "of"]
    texts = [f"{one} {other} {one}" for one in words for other in words]
    ingest_folder(tmp_path / "ingest", [[document(f"d{i}", text, f"s{i % 3}") for i, text in enumerate(texts)]])
    scorer = {"kind": "celadon", "name": "tox", "model": str(heads), "chunk_tokens": 10}
    select = {"kind": "threshold", "score": "tox_verdict", "at_most": 1}
    values = {"scorers": [scorer], "profile": "p", "profiles": {"p": {"rules": {}, "select": [select]}}}
    params = CurateParams.model_validate(values | {"duplicates": None})
    run(params, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    toxic = {row["source"]: 0 for row in rows(tmp_path / "out", "scores/tox")}
    for row in rows(tmp_path / "out", "scores/tox"):
        toxic[row["source"]] += row["tox_verdict"] == 2
    sources = Funnel.read(tmp_path / "out").counts.sources
    assert 0 < sum(toxic.values()) < len(texts)
    assert {name: one.taken.documents - one.kept.documents for name, one in sources.items()} == toxic
