"""Celadon's heads trained from labels: levels found again, weights of each head's own, and labels that say nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import DataError
from tasks.core.rng import generator
from tasks.curate import gather
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.celadon_trained import balanced_accuracy, document_weights, fit, level_weights, levels_of
from tasks.curate.scorers.toxicity import HEADS, LEVELS
from tests.curate.scorers.embedded_folders import EMBEDDING, curate, documents, scores, topical, write_items

# Of two heads the topics are levels; the third has another level of law alone, the others none.
LEVEL = {"med": (0, 3, 0, 0, 0), "law": (3, 1, 1, 0, 0), "code": (1, 0, 0, 0, 0)}


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


def trained(path: Path, **more: object) -> dict[str, object]:
    own = {"kind": "celadon_trained", "name": "tox", "labels": [str(path)], "embedding": EMBEDDING, "test_share": 0.3}
    return own | more


def label(topic: str) -> dict[str, Any]:
    return dict(zip(HEADS, LEVEL[topic], strict=True))


def test_levels_are_found_again_and_the_verdict_is_the_rule_s_whatever_the_shards(tmp_path: Path) -> None:
    by_id = [{"id": row["id"], **label(row["source"])} for row in documents(4)]
    by_text = [{"text": topical(topic, 50 + i), **label(topic)} for topic in LEVEL for i in range(6)]
    path = write_items(tmp_path / "labels.jsonl", [*by_id, *by_text, {"id": "gone", **label("med")}])
    found = []
    for number, bounds in enumerate(((), (5, 11))):
        output, _ = curate(tmp_path / str(number), [trained(path, weights=(2, 1, 1, 1, 1))], documents(), bounds)
        found.append(scores(output, "tox"))
    assert found[0] == found[1]
    for topic, levels in LEVEL.items():
        row = found[0][f"{topic}7"]
        assert tuple(row[f"tox_{head}"] for head in HEADS) == levels
        assert row["tox"] == sum(levels) + levels[0]
    # Sums of 3, 5 and 1: the first comes from one head.
    assert [found[0][f"{topic}6"]["tox_verdict"] for topic in LEVEL] == [1, 1, 0]
    told = Scored.read(output).scorers["tox"].learned
    assert told["heads_with_one_level"] == ["ability", "violence"] and told["labels_without_document"] == 1
    assert told["test"]["gender"] == {"balanced_accuracy": 1.0, "accuracy": 1.0}
    assert told["documents_of_training"] + told["test"]["documents"] == 30


def test_each_head_has_weights_of_its_own_and_they_find_rare_levels() -> None:
    random = generator(0, "toxic")
    vectors_ND = random.standard_normal((600, 6)).astype(np.float32)
    # Level 1 is one in ten and not to be told apart wholly.
    rare_N = (vectors_ND[:, 0] + 0.7 * random.standard_normal(600) > 1.6).astype(np.int64)
    once, found = fit(vectors_ND, rare_N, np.ones(600), 0.1), np.ones(LEVELS)
    plain_N = levels_of(once[None], vectors_ND)[:, 0]
    found = level_weights(rare_N, plain_N)
    missed, wrong = ((rare_N == 1) & (plain_N == 0)).sum(), ((rare_N == 0) & (plain_N == 1)).sum()
    assert found.tolist() == pytest.approx([2.0, 2.0, 0.0, 0.0]) and missed > wrong > 0
    documents_N = document_weights(np.stack([rare_N] * 5, axis=1))
    assert documents_N.mean() == pytest.approx(1.0)
    ratio = documents_N[rare_N == 1][0] / documents_N[rare_N == 0][0]
    assert ratio == pytest.approx((rare_N == 0).sum() / (rare_N == 1).sum())
    weighed_N = levels_of(fit(vectors_ND, rare_N, documents_N, 0.1)[None], vectors_ND)[:, 0]
    assert balanced_accuracy(rare_N, weighed_N) > balanced_accuracy(rare_N, plain_N) + 0.1
    # A head with another pattern of mistakes has other weights, in the same training.
    other_N = np.where(vectors_ND[:, 1] > 0, 2, (vectors_ND[:, 1] > -0.5).astype(np.int64))
    other = level_weights(other_N, levels_of(fit(vectors_ND, other_N, np.ones(600), 9.0)[None], vectors_ND)[:, 0])
    assert not np.allclose(other, found)


def test_a_level_does_not_depend_on_the_documents_around_one() -> None:
    random = generator(1, "toxic")
    vectors_ND, heads_HDL = random.standard_normal((40, 5)).astype(np.float32), random.standard_normal((5, 6, LEVELS))
    assert levels_of(heads_HDL, vectors_ND)[7:9].tolist() == levels_of(heads_HDL, vectors_ND[7:9]).tolist()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"id": "med0", **label("med"), "ability": None}], r"line 1: 'ability' is None, which is no number"),
        (
            [{"id": "med0", **label("med"), "race": 4}, {"id": "law0", **label("law")}],
            r"1 of 2 labelled documents have a level that is none of 0 to 3, such as 4",
        ),
        ([{"id": "med0", **label("med"), "race": 1.5}], r"1 of 1 .* such as 1\.5"),
        (
            [{"id": f"med{i}", **label("med")} for i in range(8)],
            r"its \d labelled documents of training all have the same",
        ),
    ],
)
def test_labels_that_say_nothing_are_refused(tmp_path: Path, items: list[dict[str, object]], said: str) -> None:
    path = write_items(tmp_path / "labels.jsonl", items)
    with pytest.raises(DataError, match=said):
        curate(tmp_path, [trained(path)], documents())
