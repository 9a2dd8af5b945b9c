"""A regression of labels on vectors: what is found again, how it is judged, and labels that say nothing."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import DataError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers import linear_head
from tasks.curate.scorers.regression import Regression, judged, levels
from tests.curate.scorers.embedded_folders import EMBEDDING, curate, documents, scores, topical, write_items

LABELS = {"med": 5, "law": 2, "code": 0}


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


def regression(path: Path, **more: object) -> dict[str, object]:
    return {
        "kind": "regression",
        "name": "edu",
        "labels": [str(path)],
        "embedding": EMBEDDING,
        "test_share": 0.3,
        **more,
    }


def test_a_head_is_found_again_from_the_labels_that_it_gave() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(500, 12)).astype(np.float32)
    true = linear_head.LinearHead(random.normal(size=12), 2.5)
    found = linear_head.fit(vectors, linear_head.predict(true, vectors), 1e-9)
    assert np.allclose(found.weights_D, true.weights_D, atol=1e-5) and found.intercept == pytest.approx(2.5, abs=1e-5)
    assert linear_head.predict(found, vectors)[7:9].tolist() == linear_head.predict(found, vectors[7:9]).tolist()
    assert np.isnan(linear_head.predict(found, np.zeros((1, 12), np.float32))).all()


def test_labels_by_id_and_by_text_give_every_document_a_score_whatever_its_shard(tmp_path: Path) -> None:
    by_id = [{"id": row["id"], "label": LABELS[row["source"]]} for row in documents(4)]
    by_text = [{"text": topical(topic, 50 + i), "label": label} for topic, label in LABELS.items() for i in range(3)]
    path = write_items(
        tmp_path / "labels.jsonl", [*by_id, *by_text, {"id": "gone", "label": 1}, {"id": "gone", "label": 2}]
    )
    found = []
    for number, bounds in enumerate(((), (5, 11))):
        output, _ = curate(tmp_path / str(number), [regression(path)], documents(), bounds)
        found.append(scores(output, "edu"))
    assert found[0] == found[1]
    level = {name: row["edu_level"] for name, row in found[0].items()}
    assert all(abs(level[f"{topic}{i}"] - label) <= 1 for topic, label in LABELS.items() for i in range(8))
    told = Scored.read(output).scorers["edu"].learned
    assert told["labels_without_document"] == 2 and told["labelled_more_than_once"] == 1
    assert told["labels_of_training"] + told["test"]["labels"] == 21
    assert told["test"]["f1_from_3"] == 1 and told["test"]["mean_error"] < told["test"]["mean_error_of_mean"]
    assert told["warning"] == f"{told['test']['labels']} labels are left to judge it by"


def test_f1_and_calibration_are_those_of_levels() -> None:
    config = Regression(name="edu", labels=("x",))
    told = judged(config, np.array([0.0, 3.0, 4.0, 2.0]), np.array([-1.0, 3.4, 2.6, 2.9]), 2.0)
    # Levels found: 0, 3, 3, 3. Three are at least 3, two of them rightly; none of the true is missed.
    assert told["f1_from_3"] == pytest.approx(2 * 2 / (2 + 3))
    assert told["calibration"] == {"0": {"labels": 1, "mean_label": 0.0}, "3": {"labels": 3, "mean_label": 3.0}}
    assert not np.signbit(levels(config, np.array([-0.2, -3.0]))).any()
    assert told["mean_error"] == pytest.approx((1 + 0.4 + 1.4 + 0.9) / 4) and told["mean_error_of_mean"] == 1.25
    assert told["f1_of_levels"] == pytest.approx((1 + 0 + 2 / 4 + 0) / 4)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (
            [{"id": "gone", "label": 1}],
            r"scorer edu: no document has any of the 1 ids that are labelled, such as 'gone'",
        ),
        ([{"id": "med0"}], r"line 1: 'label' is None, which is no number"),
        ([{"id": "med0", "label": True}], r"'label' is True, which is no number"),
        ([{"id": "med0", "label": float("nan")}], r"line 1: 'label' is nan, which is no number"),
        ([{"label": 1}], r"line 1: it has neither an `id` nor a `text`"),
        ([{"id": "med0", "label": 7}, {"id": "law0", "label": 1}], r"1 of 2 labels lie outside of 0 to 5, such as 7"),
        ([{"id": f"med{i}", "label": 1} for i in range(8)], r"its \d labels of training are all the same"),
    ],
)
def test_labels_that_say_nothing_are_refused(tmp_path: Path, items: list[dict[str, object]], said: str) -> None:
    path = write_items(tmp_path / "labels.jsonl", items)
    with pytest.raises(DataError, match=said):
        curate(tmp_path, [regression(path)], documents())


def test_a_level_that_cannot_be_positive_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"positive_from is 6; it has to be above lowest \(0\) and at most highest \(5\)"
    ):
        CurateParams.model_validate(
            {"scorers": [{"kind": "regression", "name": "e", "labels": ["x"], "positive_from": 6}]}
        )
