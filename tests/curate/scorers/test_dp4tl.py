"""DP4TL: the classes that a target falls into, by their means and by a classifier; sources or clusters."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import DataError
from tasks.curate import gather
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.dp4tl import METHOD, Dp4tl, class_shares
from tasks.curate.scorers.method import EmbeddedPass
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.nearest import nearest_means
from tasks.embedding.params import Embedding
from tasks.embedding.wordllama import WordLlamaEmbedder
from tests.curate.scorers.embedded_folders import EMBEDDING, curate, documents, scores, topical, write_items


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


@pytest.mark.parametrize("mapping", ["feature", "label"])
def test_a_class_counts_for_the_texts_of_the_target_that_fall_into_it(mapping: str) -> None:
    random = np.random.default_rng(0)
    means = np.eye(5, 12)
    kinds = np.repeat(np.arange(5), 40)
    pool = (means[kinds] + 0.1 * random.normal(size=(200, 12))).astype(np.float32)
    target = (means[[3] * 6 + [1] * 3 + [0]] + 0.1 * random.normal(size=(10, 12))).astype(np.float32)
    shares = class_shares(target, pool, kinds, 5, mapping)  # type: ignore[arg-type]
    assert shares.tolist() == [0.1, 0.3, 0, 0.6, 0]


def test_the_nearest_mean_is_that_by_distance_and_not_by_angle() -> None:
    means = np.array([[0.9, 0], [0.2, 0.1]], np.float32)
    assert nearest_means(means, np.array([[1, 0], [0.1, 0.05], [0.3, 0]], np.float32)).tolist() == [0, 1, 1]
    assert nearest_means(means, np.zeros((0, 2), np.float32)).tolist() == []


def test_documents_of_the_nearest_sources_or_clusters_come_first_whatever_their_shard(tmp_path: Path) -> None:
    texts = [topical("law", 100), topical("law", 101), topical("code", 100)]
    target = write_items(tmp_path / "target.jsonl", [{"text": text} for text in texts])
    scorer = {"kind": "dp4tl", "name": "near", "target": [str(target)], "embedding": EMBEDDING}
    clusters = {**scorer, "name": "clusters", "classes": "cluster", "num_clusters": 3}
    found = []
    unknown = {**documents(1)[0], "id": "unknown", "text": "42 7 !", "source": "other"}
    for number, bounds in enumerate(((), (5, 11))):
        output, _ = curate(tmp_path / str(number), [scorer, clusters], [*documents(), unknown], bounds)
        found.append([scores(output, name) for name in ("near", "clusters")])
    assert repr(found[0]) == repr(found[1])
    by_source, by_cluster = found[0]
    assert {
        (row["source"], round(row["near"], 3), row["near_rank"]) for row in by_source.values() if row["near"] >= 0
    } == {
        ("law", 0.667, 1),
        ("code", 0.333, 2),
        ("med", 0, 3),
    }
    assert np.isnan(by_source["unknown"]["near"]) and np.isnan(by_cluster["unknown"]["clusters"])
    first = [row["source"] for row in by_cluster.values() if row["clusters_rank"] == 1]
    assert first.count("law") > len(first) / 2
    told = Scored.read(output).scorers["near"].learned
    assert (told["classes"], told["classes_given_nothing"]) == (3, 1)
    assert told["largest_shares"] == {"law": 0.6667, "code": 0.3333, "med": 0.0}


def test_where_an_embedder_that_learns_here_has_too_few_documents_more_are_asked_for(tmp_path: Path) -> None:
    config = Dp4tl(name="near", target=(str(write_items(tmp_path / "t.jsonl", [{"text": "one"}])),))
    known = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    learning, found = METHOD.learning, EmbeddedDocuments(("a", "b"), ("s", "s"), known)
    assert isinstance(learning, EmbeddedPass)
    files = METHOD.user_files(config)
    with pytest.raises(
        DataError, match=r"tfidf knows words of 1 of the 2 documents, .* too few, .* Give more documents"
    ):
        learning.learn(config, found, lambda texts: known[:1], files, tmp_path)
    trained = config.model_copy(update={"embedding": Embedding(embedder=WordLlamaEmbedder(kind="wordllama"))})
    with pytest.raises(DataError, match="Choose another embedder, which knows the language of these texts"):
        learning.learn(trained, found, lambda texts: known[:1], files, tmp_path)
