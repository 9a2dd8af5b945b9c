"""PreSelect: strengths by pairs of models, losses in windows, and a student of the documents of full strength."""

import gzip
import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError, DataError
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.method import Given, documents_of
from tasks.curate.scorers.perplexity import losses
from tasks.curate.scorers.preselect import METHOD, PreSelect, loss, strengths, windows
from tasks.curate.stage import run
from tasks.evaluation.tasks.models import open_model
from tests.curate.folders import document, ingest_folder, rows, workshop
from tests.evaluation.test_task_models import MODEL, model_folder

pytest.importorskip("floret")

SMALL = {"dimension": 8, "num_buckets": 500, "epochs": 5}
RNG = np.random.default_rng(0)
POOL = [document(f"d{i:02d}", " ".join("".join(RNG.choice([*"abcd"], 4)) for _ in range(4))) for i in range(40)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("models")
    other = MODEL.model_copy(update={"intermediate_size": 40})
    return [str(model_folder(root / "a")), str(model_folder(root / "b", other))]


def scorer(models: Sequence[str], **values: Any) -> PreSelect:
    given = {"name": "pre", "models": models, "benchmark": [0.7, 0.5], "sample": 1.0, "training": SMALL}
    return PreSelect.model_validate(given | values)


def looks(config: PreSelect, shards: Sequence[Sequence[dict[str, Any]]] = (POOL,)) -> list[pa.Table]:
    learning = METHOD.learning
    held = learning.load(config, Given(METHOD.user_files(config)))
    return [learning.look(config, documents_of(pa.Table.from_pylist(list(shard))), held) for shard in shards]


@given(st.integers(0, 300), st.integers(1, 40), st.data())
def test_windows_count_every_token_once_and_read_no_more_than_their_size(tokens: int, size: int, data: Any) -> None:
    stride = data.draw(st.integers(1, max(1, size // 2)))
    found = [*windows(tokens, size, stride)]
    assert [token for _, counted, end in found for token in range(counted, end)] == [*range(tokens)]
    assert all(end - begin <= size and (begin < counted or not counted or size == 1) for begin, counted, end in found)


def test_the_loss_of_a_text_is_that_of_a_direct_pass_with_what_stands_before_each_window(models: list[str]) -> None:
    import torch

    from tasks.training.export import read_model

    model = open_model(Path(models[0]), sorted(path.name for path in Path(models[0]).iterdir()))
    short, long = "abcd abc", "abcd dcba abcd bbaa cadb"
    assert loss(model, short, 1_900, 512) == pytest.approx(losses(model, short)[0], abs=1e-9)
    ids, decoder, expected = model.encode(long), read_model(Path(models[0])), 0.0
    for begin, counted, end in windows(len(ids), 12, 6):
        inputs = torch.tensor([[0, *ids[begin:end]] if not counted else ids[begin:end]])
        with torch.no_grad():
            logits = decoder(inputs[:, :-1])[0] @ decoder.output.T
        wanted = inputs[0, 1:][-(end - counted) :]
        expected += float(torch.nn.functional.cross_entropy(logits[-len(wanted) :], wanted, reduction="sum"))
    assert loss(model, long, 12, 6) == pytest.approx(expected, abs=1e-3)
    assert np.isnan(loss(model, "", 12, 6))


def test_pairs_are_those_whose_scores_differ_by_more_than_the_tie() -> None:
    config = scorer([*"abcd"], benchmark=[75.4, 76.3, 76.4, 81.2], tie=0.2)
    assert config.pairs == ((1, 0), (2, 0), (3, 0), (3, 1), (3, 2))
    losses_NM = np.array([[4.0, 3, 2, 1], [4, 3, 3, 1], [1, 2, 3, 4], [1, 1, 1, 1]])
    assert strengths(losses_NM, config.pairs).tolist() == [5, 5, 0, 0]


def test_a_student_learns_the_documents_of_full_strength_the_same_for_any_sharding(
    models: list[str], tmp_path: Path
) -> None:
    config, bytes_of, told = scorer(models, sample=0.8), [], {}
    for number, shards in enumerate(([POOL], [POOL[25:], POOL[:10], POOL[10:25]])):
        folder = tmp_path / str(number)
        folder.mkdir()
        told = dict(METHOD.learning.learn(config, looks(config, shards), {}, folder))
        bytes_of.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert bytes_of[0] == bytes_of[1] and {*bytes_of[0]} == {"model.bin", "strengths.parquet"}
    counts = told["documents_by_strength"]
    sampled = sum(counts.values())
    assert 20 < sampled < 40
    assert told["positive_examples"] == counts["1"] and told["negative_examples"] == min(counts["0"], counts["1"])
    table = pa.Table.from_pylist(POOL)
    found = METHOD.score(config, documents_of(table), METHOD.load(config, Given({}, tmp_path / "0")))
    assert np.isnan(found["strength"]).sum() == 40 - sampled and not np.isnan(found[""]).any()
    strength = found["strength"]
    assert found[""][strength == 1].mean() > found[""][strength == 0].mean()


def test_another_benchmark_takes_no_loss_again(models: list[str], tmp_path: Path) -> None:
    ingest_folder(tmp_path / "ingest", [POOL])
    places, keys, found = workshop(tmp_path), [], []
    for benchmark in ([0.7, 0.5], [0.5, 0.7]):
        places.touched.clear()
        one = {"kind": "preselect", "name": "pre", "models": models, "benchmark": benchmark, "sample": 1.0}
        values = {"scorers": [one | {"training": SMALL}], "profile": "p", "profiles": {"p": {"rules": {}}}}
        params = CurateParams.model_validate(values | {"duplicates": None})
        run(params, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=places)
        keys.append([frozenset(places.touched[name]) for name in ("curate.look", "curate.learn")])
        found.append([row["pre_strength"] for row in rows(tmp_path / "out", "scores/pre")])
    assert keys[0][0] == keys[1][0] and keys[0][1] != keys[1][1]
    assert np.add(*found).tolist() == [1.0] * 40
    assert "words_for" in Scored.read(tmp_path / "out").scorers["pre"].learned


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"benchmark": [1, 2, 3]}, "2 models and 3 scores in benchmark"),
        ({"benchmark": [0.5, 0.5]}, r"no two scores in benchmark differ by more than 0 \(tie\)"),
        ({"tie": 1}, r"no two scores in benchmark differ by more than 1 \(tie\)"),
        ({"window": 5, "stride": 5}, "stride 5 is not smaller than window 5"),
        ({"sample": 0}, "greater than 0"),
    ],
)
def test_models_that_cannot_be_ordered_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scorer(["a", "b"], **values)


def test_models_that_tie_on_every_document_and_folders_without_a_model_are_named(
    models: list[str], tmp_path: Path
) -> None:
    same = scorer([models[0], models[0]])
    with pytest.raises(DataError, match=r"of 40 documents whose losses were taken 0 order all 1 pairs of models"):
        METHOD.learning.learn(same, looks(same), {}, tmp_path)
    with pytest.raises(ConfigError, match=r"scorer pre, models: there is no config.json"):
        METHOD.user_files(scorer([models[0], str(tmp_path)]))


def area(above: np.ndarray, below: np.ndarray) -> float:
    """How often one of the first is higher than one of the second; equal ones count half."""
    return float((above[:, None] > below).mean() + (above[:, None] == below).mean() / 2)


@pytest.mark.slow
def test_text_like_that_of_the_better_models_is_stronger_than_its_words_shuffled_and_than_spam(
    tmp_path: Path, shared_data: Path
) -> None:
    # The check of the recipe: one net, trained for 100 to 3,200 steps on an encyclopedia. One wrong order may be good or
    # bad at it by chance; over all orders nothing is left.
    from tests.curate.scorers.ordered_models import trained_models

    rng = np.random.default_rng(0)
    wiki, spam = (texts_of_source(shared_data, source) for source in ("wikipedia_core", "spam_email"))
    order = rng.permutation(len(wiki))
    steps = (100, 200, 400, 800, 1600, 3200)
    folders = trained_models([wiki[row][:4000] for row in order[40:]], steps, tmp_path / "models")
    held_out = [wiki[row][:800] for row in order[:40]]
    texts = {
        "wiki": held_out,
        "shuffled": [" ".join(rng.permutation(text.split())) for text in held_out],
        "spam": [spam[row][:800] for row in rng.permutation(len(spam))[:40]],
    }
    pool = [document(f"{name}-{row}", text, name) for name, some in texts.items() for row, text in enumerate(some)]
    config = scorer([*map(str, folders)], benchmark=steps, window=64, stride=32, training=SMALL | {"epochs": 50})
    (table,) = looks(config, [pool])
    losses_NM = np.stack([table[f"loss_{place}"].to_numpy() for place in range(6)], axis=1)
    rows = {name: slice(40 * place, 40 * (place + 1)) for place, name in enumerate(texts)}
    mean = {name: strengths(losses_NM[some], config.pairs).mean() for name, some in rows.items()}
    assert mean["wiki"] > mean["shuffled"] > mean["spam"] + 3
    areas = []
    for benchmark in permutations(steps):
        found = strengths(losses_NM, config.model_copy(update={"benchmark": benchmark}).pairs)
        areas.append(area(found[rows["wiki"]], found[rows["spam"]]))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)
    # The student of every second document tells the others apart.
    (tmp_path / "student").mkdir()
    METHOD.learning.learn(config, [table.take(pa.array([*range(0, 120, 2)]))], {}, tmp_path / "student")
    held = METHOD.load(config, Given({}, tmp_path / "student"))
    scores = METHOD.score(config, documents_of(pa.Table.from_pylist(pool[1::2])), held)[""]
    assert area(scores[:20], scores[40:]) > 0.9


def texts_of_source(shared_data: Path, source: str) -> list[str]:
    found = []
    for path in sorted((shared_data / "corpus").glob(f"{source}-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)["text"] for line in lines]
    return found
